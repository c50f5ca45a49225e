"""From a verdict to a new default, and back."""
