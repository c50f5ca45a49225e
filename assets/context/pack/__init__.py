"""Fits ranked places into the token budget of a language model."""
