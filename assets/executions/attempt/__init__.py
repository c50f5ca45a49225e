"""One attempt at a task; `execute.py` runs it from beginning to end."""
