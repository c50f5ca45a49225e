"""A commit becomes an index version: what differs is cut, embedded and staged, checked, and made visible."""
