"""The event log: one protocol, adapters for Postgres and Apache Kafka, and the relay from the one to the other."""

from typing import TYPE_CHECKING

from core.eventlog.postgres import PostgresLog
from core.eventlog.protocol import (
    MAX_EVENT_BYTES,
    Batch,
    EventLog,
    EventLogUnavailable,
    EventRefused,
    Guarantees,
    Record,
    UnknownTopic,
    Unreadable,
)

if TYPE_CHECKING:
    from core.database import Database
    from core.settings import Settings

__all__ = [
    "MAX_EVENT_BYTES",
    "Batch",
    "EventLog",
    "EventLogUnavailable",
    "EventRefused",
    "Guarantees",
    "PostgresLog",
    "Record",
    "UnknownTopic",
    "Unreadable",
    "open_log",
]


def open_log(settings: "Settings", database: "Database") -> EventLog:
    """The log that this installation's consumers read. With Kafka, appends still go to Postgres, and the
    relay moves them to Kafka."""
    log = PostgresLog(database)
    if settings.event_log == "postgres":
        return log
    from core.eventlog.kafka_settings import kafka_log
    from core.eventlog.relayed import RelayedLog

    return RelayedLog(log, kafka_log(settings))
