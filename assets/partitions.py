"""Partitions of the task assets: one per source, not one per task, since Dagster slows down above some 100,000."""

import uuid

from dagster import DynamicPartitionsDefinition

from core.events import DEFAULT_TEAM

SOURCES = DynamicPartitionsDefinition(name="sources")


def partition_key(team_id: uuid.UUID, source: str) -> str:
    """The partition of a team's source: the bare name for the default team, else `TEAM_ID:NAME`."""
    return source if team_id == DEFAULT_TEAM else f"{team_id}:{source}"


def parse_partition(key: str) -> tuple[uuid.UUID, str]:
    """The inverse of `partition_key`: team and source. Raises `ValueError` when the team is not a UUID."""
    team, colon, source = key.rpartition(":")
    return (uuid.UUID(team), source) if colon else (DEFAULT_TEAM, key)
