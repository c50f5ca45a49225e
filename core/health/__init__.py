"""Freshness of indexes, status of evals and progress of the migration, read for metrics, checks and commands."""
