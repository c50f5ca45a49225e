"""From a task and its context to a plan."""
