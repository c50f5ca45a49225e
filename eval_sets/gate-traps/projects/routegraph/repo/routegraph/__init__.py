"""Directed graphs."""
