"""Turns a commit into an index version: changed files are cut, embedded, staged, checked and made visible."""
