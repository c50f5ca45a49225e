"""Stored content gets the new model's vectors, at a pace that live traffic does not notice."""
