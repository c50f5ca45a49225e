"""Chunks ranked for a text: a weighted sum of signals over an index, each with its reason."""
