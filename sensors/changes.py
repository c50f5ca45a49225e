"""The change sensor: many changes of one source become one refresh of its context index."""

import uuid
from datetime import datetime

from dagster import (
    DefaultSensorStatus,
    ResourceParam,
    RunRequest,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from assets.context.assets import CHANGED_TAG
from assets.partitions import SOURCES, partition_key
from assets.platform import Platform
from core.eventlog.protocol import UnknownTopic
from core.events import CHANGES
from sensors import cursor
from sensors.dead_letters import put_aside

GROUP = "penstock-changes"
REFRESH_JOB = "refresh_context"
TICK_SECONDS = 20.0
BATCH = 500


@sensor(
    name="change_sensor",
    job_name=REFRESH_JOB,
    minimum_interval_seconds=1,
    default_status=DefaultSensorStatus.RUNNING,
    description="Takes changes from the log and refreshes each changed source once.",
)
def change_sensor(context: SensorEvaluationContext, platform: ResourceParam[Platform]) -> SensorResult | SkipReason:
    log = platform.settings.event_log
    try:
        batch = platform.reader.read(CHANGES, cursor.load(context.cursor, log), limit=BATCH, wait=TICK_SECONDS)
    except UnknownTopic as missing:
        return SkipReason(f"{missing}; the relay creates it")
    if batch.unreadable:
        put_aside(platform, batch.unreadable)
    if not batch.records and not batch.unreadable:
        return SkipReason("No source has changed.")
    last: dict[tuple[uuid.UUID, str], str] = {}
    first: dict[tuple[uuid.UUID, str], datetime] = {}
    count: dict[tuple[uuid.UUID, str], int] = {}
    for record in batch.records:
        key = (record.event.teamid, record.event.subject)
        last[key] = record.event.id
        first[key] = min(first.get(key, record.event.time), record.event.time)
        count[key] = count.get(key, 0) + 1
    keys = {key: partition_key(*key) for key in last}
    unknown = set(keys.values()) - set(context.instance.get_dynamic_partitions(SOURCES.name or ""))
    platform.reader.commit_group(GROUP, CHANGES, batch.next_offsets)
    return SensorResult(
        run_requests=[
            RunRequest(
                run_key=f"change:{event_id}",
                partition_key=keys[key],
                tags={
                    "penstock/changes": str(count[key]),
                    "penstock/event": event_id[:200],
                    CHANGED_TAG: first[key].isoformat(),
                },
            )
            for key, event_id in last.items()
        ],
        cursor=cursor.dump(log, batch.next_offsets),
        dynamic_partitions_requests=[SOURCES.build_add_request(sorted(unknown))] if unknown else [],
    )
