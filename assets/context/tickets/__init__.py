"""The tickets of a source as part of its context: stored from events and imports, and searchable."""
