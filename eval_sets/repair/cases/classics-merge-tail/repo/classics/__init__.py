"""Textbook algorithms, written out."""
