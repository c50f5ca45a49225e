"""Embedding models: re-index, compare, cut over, retire."""
