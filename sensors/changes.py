"""The change sensor: many changes of a source become one run, for its context index, ticket index or both."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from dagster import (
    AssetKey,
    DefaultSensorStatus,
    ResourceParam,
    RunRequest,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from assets.context.assets import CHANGED_TAG
from assets.context.tickets import inbox
from assets.partitions import SOURCES, partition_key
from assets.platform import Platform
from core.eventlog.protocol import Record, UnknownTopic
from core.events import CHANGES
from core.tickets import TICKET_CHANGED
from sensors import cursor
from sensors.dead_letters import send_to_dead_letters

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
        send_to_dead_letters(platform, batch.unreadable)
    if not batch.records and not batch.unreadable:
        return SkipReason("No source has changed.")
    inbox.accept(platform.database, (r.event for r in batch.records if r.event.type == TICKET_CHANGED))
    coalesced = _coalesce(batch.records)
    keys = {key: partition_key(*key) for key in coalesced}
    unknown = set(keys.values()) - set(context.instance.get_dynamic_partitions(SOURCES.name or ""))
    platform.reader.commit_group(GROUP, CHANGES, batch.next_offsets)
    return SensorResult(
        run_requests=[
            RunRequest(
                run_key=f"change:{changes.last}",
                partition_key=keys[key],
                asset_selection=[AssetKey(asset) for asset in sorted(changes.assets)],
                tags=changes.tags(),
            )
            for key, changes in coalesced.items()
        ],
        cursor=cursor.dump(log, batch.next_offsets),
        dynamic_partitions_requests=[SOURCES.build_add_request(sorted(unknown))] if unknown else [],
    )


@dataclass
class _Changes:
    """The changes of one source that came together: the last event's id, and when the first change of the repository
    was accepted."""

    last: str = ""
    count: int = 0
    changed_at: datetime | None = None
    assets: set[str] = field(default_factory=set)

    def tags(self) -> dict[str, str]:
        tags = {"penstock/changes": str(self.count), "penstock/event": self.last[:200]}
        return tags | {CHANGED_TAG: self.changed_at.isoformat()} if self.changed_at else tags


def _coalesce(records: Sequence[Record]) -> dict[tuple[uuid.UUID, str], _Changes]:
    """By team and source, in the order of their first change."""
    found: dict[tuple[uuid.UUID, str], _Changes] = {}
    for record in records:
        event = record.event
        changes = found.setdefault((event.teamid, event.subject), _Changes())
        changes.last = event.id
        changes.count += 1
        if event.type == TICKET_CHANGED:
            changes.assets.add("ticket_index")
        else:
            changes.assets.add("context_index")
            changes.changed_at = min(changes.changed_at or event.time, event.time)
    return found
