"""From evidence to a published result."""
