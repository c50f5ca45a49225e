"""Keeps the event log in PostgreSQL in bounds: what was read and is old goes away every night."""

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
from core.events import CHANGES, DEAD_LETTERS, TASKS, TOPICS
from sensors import changes, tasks

READ_BY = {TASKS: tasks.GROUP, CHANGES: changes.GROUP}
"""Consumer groups whose unread events stay, however old. With Kafka they read there, and the relay's place counts."""

DEAD_LETTER_DAYS = 365


@op(description="Deletes events that were read, after PENSTOCK_KEEP_EVENTS_DAYS; dead letters after a year.")
def delete_old_events(context: OpExecutionContext, platform: ResourceParam[Platform]) -> None:
    now = datetime.now(UTC)
    days = platform.settings.keep_events_days
    for topic in TOPICS:
        kept = max(days, DEAD_LETTER_DAYS) if topic == DEAD_LETTERS else days
        reader = READ_BY.get(topic) if platform.settings.event_log == "postgres" else None
        platform.log.end_offsets(topic)  # events get offsets when somebody looks; of some topics only this does
        deleted = platform.log.prune(topic, now - timedelta(days=kept), unread_by=reader)
        context.log.info("%s: %d events older than %d days deleted", topic, deleted, kept)


@dagster_job(executor_def=in_process_executor, description="Events of long ago, from the front of each topic.")
def prune_events() -> None:
    delete_old_events()


prune_events_nightly = ScheduleDefinition(
    job=prune_events, cron_schedule="57 3 * * *", default_status=DefaultScheduleStatus.RUNNING
)
