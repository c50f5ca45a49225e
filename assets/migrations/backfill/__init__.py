"""Stored content gets the new model's vectors, at a pace that keeps live traffic within its latency limit."""
