"""Candidates tried in the sandbox: the worker that runs there, and the host's end of it."""
