"""The warm process and the run launcher that forks runs from it."""
