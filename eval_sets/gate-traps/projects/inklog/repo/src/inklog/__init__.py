"""Reads the journal of a print shop and reports on it."""

VERSION = "0.9.2"
FORMAT = 2
