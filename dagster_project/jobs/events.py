"""Limits the size of the event log in PostgreSQL: every night, deletes old events that were read."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from dagster import (
    DefaultScheduleStatus,
    OpExecutionContext,
    ResourceParam,
    ScheduleDefinition,
    in_process_executor,
    op,
)
from dagster import job as dagster_job

from assets.platform import Platform
from core.events import CHANGES, DEAD_LETTERS, OBJECTS, TASKS, TOPICS
from sensors import changes, tasks

READ_BY = {TASKS: tasks.GROUP, CHANGES: changes.GROUP}
"""The consumer group of each topic whose unread events are never deleted. With Kafka, the relay's position counts
instead, since consumers read from Kafka."""

DEAD_LETTER_DAYS = 365


@op(description="Deletes events that were read, after PENSTOCK_KEEP_EVENTS_DAYS; dead letters after a year.")
def delete_old_events(context: OpExecutionContext, platform: ResourceParam[Platform]) -> None:
    for topic, kept, reader in kept_events(platform):
        platform.log.end_offsets(topic)  # assigns offsets to new events; some topics have no reader that does so
        deleted = platform.log.prune(topic, datetime.now(UTC) - timedelta(days=kept), unread_by=reader)
        context.log.info("%s: %d events older than %d days deleted", topic, deleted, kept)


def kept_events(platform: Platform) -> Iterator[tuple[str, int, str | None]]:
    """Each topic, for how many days its events are kept, and the consumer group that must have read them."""
    days = platform.settings.keep_events_days
    for topic in (*TOPICS, OBJECTS):
        kept = max(days, DEAD_LETTER_DAYS) if topic == DEAD_LETTERS else days
        yield topic, kept, READ_BY.get(topic) if platform.settings.event_log == "postgres" else None


@dagster_job(executor_def=in_process_executor, description="Deletes old events from the front of each topic.")
def prune_events() -> None:
    delete_old_events()


prune_events_nightly = ScheduleDefinition(
    job=prune_events, cron_schedule="57 3 * * *", default_status=DefaultScheduleStatus.RUNNING
)
