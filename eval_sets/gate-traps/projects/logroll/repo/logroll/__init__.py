"""Logs in files that stay small."""
