"""Shifts of a crew: spans, who is free, who works how much."""
