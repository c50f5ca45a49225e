"""Retirement of models: deadlines, the archive of their vectors, and restoring them."""
