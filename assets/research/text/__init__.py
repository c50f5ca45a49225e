"""Sentences, words, quantities and names of English text, found by rules."""
