"""Subjects run over sets: the runner, its results, where they are kept and how they are queried."""
