"""Tries again what a refresh has not brought up to date: a source that failed, or whose change found no run.

The change sensor starts a run for each change once. A repository that cannot be reached just then, or a run that
died, would leave its source behind until somebody pushes again.
"""

from datetime import UTC, datetime

from dagster import (
    AssetKey,
    DagsterRunStatus,
    DefaultSensorStatus,
    ResourceParam,
    RunRequest,
    RunsFilter,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from assets.partitions import SOURCES, partition_key
from assets.platform import Platform
from core.health.freshness import SourceFreshness, read_freshness
from sensors.changes import REFRESH_JOB

GRACE_SECONDS = 60.0
"""A change that waits no longer than this is on its way."""

LONGEST_PAUSE = 3600.0
AT_ONCE = 20

_UNDER_WAY = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


def pause(failures: int) -> float:
    """Seconds until the next try after so many failures in a row: twice as long each time."""
    return min(GRACE_SECONDS * 2.0 ** min(failures, 10), LONGEST_PAUSE)


def due(found: SourceFreshness, now: datetime) -> bool:
    """Whether a source should be refreshed although no new change says so."""
    if found.failures:
        return found.tried_at is None or (now - found.tried_at).total_seconds() >= pause(found.failures)
    return found.waiting > 0 and found.waiting_seconds >= GRACE_SECONDS


@sensor(
    name="stale_source_sensor",
    job_name=REFRESH_JOB,
    minimum_interval_seconds=30,
    default_status=DefaultSensorStatus.RUNNING,
    description="Refreshes again, ever less often, what failed or was left behind.",
)
def stale_source_sensor(
    context: SensorEvaluationContext, platform: ResourceParam[Platform]
) -> SensorResult | SkipReason:
    now = datetime.now(UTC)
    with platform.database.system() as connection:
        stale = [found for found in read_freshness(connection) if due(found, now)]
    requests: list[RunRequest] = []
    for found in sorted(stale, key=lambda one: one.tried_at or datetime.min.replace(tzinfo=UTC)):
        key = partition_key(found.team_id, found.source)
        filters = RunsFilter(job_name=REFRESH_JOB, statuses=_UNDER_WAY, tags={"dagster/partition": key})
        if len(requests) < AT_ONCE and not context.instance.get_runs(filters, limit=1):
            # One key a pause: a run that died without a word is followed by another when the next begins.
            window = int(now.timestamp() // pause(found.failures))
            requests.append(
                RunRequest(
                    run_key=f"stale:{key}:{found.failures}:{window}",
                    partition_key=key,
                    asset_selection=[AssetKey("context_index")],
                    tags={"penstock/failures": str(found.failures)},
                )
            )
    if not requests:
        return SkipReason("Every source is fresh, is being refreshed, or failed too lately to be tried again.")
    known = set(context.instance.get_dynamic_partitions(SOURCES.name or ""))
    unknown = sorted({str(request.partition_key) for request in requests} - known)
    added = [SOURCES.build_add_request(unknown)] if unknown else []
    return SensorResult(run_requests=requests, dynamic_partitions_requests=added)
