"""How far failing tests represent a task, and which of them it names."""
