"""Durable objects as Dagster shows them: one asset, with a partition for each type of each team."""
