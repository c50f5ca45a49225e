"""One attempt at a task: `execute.py` is its course from beginning to end."""
