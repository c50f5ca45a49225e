"""Embedding models: re-index, compare, cut over, retire. Not built yet."""
