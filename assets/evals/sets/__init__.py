"""Eval sets of every kind: reading, checking and extending them."""
