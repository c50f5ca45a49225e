"""Ranks the chunks of an index for a text by a weighted sum of signals, each with its reason."""
