"""The engine `model`: a chat model writes from the same evidence, and each of its sentences is held against it."""
