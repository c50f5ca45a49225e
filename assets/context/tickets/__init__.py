"""Tickets of a source as a part of its context: stored as events and imports tell of them, and searchable."""
