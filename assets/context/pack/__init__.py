"""Ranked places, fitted into the token budget of a language model."""
