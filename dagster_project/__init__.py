"""Dagster's definitions, run launcher and daemon, the platform's supervisor, and the command line."""
