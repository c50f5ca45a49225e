"""Dagster jobs and their schedules, a module for each stage that they serve."""
