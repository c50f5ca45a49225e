"""Partitions of the task assets: one a source, never one a task (Dagster slows down past some 100,000)."""

import uuid

from dagster import DynamicPartitionsDefinition

from core.events import DEFAULT_TEAM

SOURCES = DynamicPartitionsDefinition(name="sources")


def partition_key(team_id: uuid.UUID, source: str) -> str:
    """The partition of a team's source; sources of the default team go by their bare name."""
    return source if team_id == DEFAULT_TEAM else f"{team_id}:{source}"


def parse_partition(key: str) -> tuple[uuid.UUID, str]:
    """The inverse of `partition_key`. Raises `ValueError` for a key that it did not make."""
    team, colon, source = key.rpartition(":")
    return (uuid.UUID(team), source) if colon else (DEFAULT_TEAM, key)
