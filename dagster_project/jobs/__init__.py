"""Dagster jobs and their schedules, one module for each area."""
