"""Retries sources that are out of date: their refresh failed, or no run has handled their change. Shows the others as
they are (`shown_sources`).

The change sensor starts one run for each change. If the repository cannot be reached then, or the run dies, the source
would stay out of date until the next push.
"""

from datetime import UTC, datetime

from dagster import (
    AssetKey,
    DefaultSensorStatus,
    ResourceParam,
    RunRequest,
    RunsFilter,
    SensorEvaluationContext,
    SensorResult,
    sensor,
)

from assets.partitions import partition_key
from assets.platform import Platform
from core.health.freshness import SourceFreshness, read_freshness
from sensors.changes import REFRESH_JOB
from sensors.shown_sources import made_elsewhere, partitions_to_change
from sensors.slots import IN_PROGRESS

GRACE_SECONDS = 60.0
"""A change that has waited no longer than this is presumably being handled."""

_FRESH = "Every source is fresh, is being refreshed, or failed too recently to be retried."
LONGEST_PAUSE = 3600.0
AT_ONCE = 20


def pause(failures: int) -> float:
    """Seconds until the next try after `failures` in a row: doubles each time, up to `LONGEST_PAUSE`."""
    return min(GRACE_SECONDS * 2.0 ** min(failures, 10), LONGEST_PAUSE)


def due(found: SourceFreshness, now: datetime) -> bool:
    """Whether a source should be refreshed although there is no new change."""
    if found.failures:
        return found.tried_at is None or (now - found.tried_at).total_seconds() >= pause(found.failures)
    return found.waiting > 0 and found.waiting_seconds >= GRACE_SECONDS


@sensor(
    name="stale_source_sensor",
    job_name=REFRESH_JOB,
    minimum_interval_seconds=30,
    default_status=DefaultSensorStatus.RUNNING,
    description="Refreshes sources that failed or are out of date, after pauses that grow; shows those that commands "
    "added, refreshed or removed.",
)
def stale_source_sensor(context: SensorEvaluationContext, platform: ResourceParam[Platform]) -> SensorResult:
    now = datetime.now(UTC)
    with platform.database.system() as connection:
        sources = read_freshness(connection)
    stale = [found for found in sources if due(found, now)]
    requests: list[RunRequest] = []
    for found in sorted(stale, key=lambda one: one.tried_at or datetime.min.replace(tzinfo=UTC)):
        key = partition_key(found.team_id, found.source)
        filters = RunsFilter(job_name=REFRESH_JOB, statuses=IN_PROGRESS, tags={"dagster/partition": key})
        if len(requests) < AT_ONCE and not context.instance.get_runs(filters, limit=1):
            # One key per pause: if a run dies unnoticed, the next pause starts another.
            window = int(now.timestamp() // pause(found.failures))
            requests.append(
                RunRequest(
                    run_key=f"stale:{key}:{found.failures}:{window}",
                    partition_key=key,
                    asset_selection=[AssetKey("context_index")],
                    tags={"penstock/failures": str(found.failures)},
                )
            )
    events, cursor = made_elsewhere(context.instance, sources, context.cursor)
    return SensorResult(
        run_requests=requests,
        skip_reason=None if requests else _FRESH,
        dynamic_partitions_requests=partitions_to_change(context.instance, sources),
        asset_events=events,
        cursor=cursor,
    )
