"""Bank accounts as a history of events."""
