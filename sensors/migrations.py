"""The sensor that keeps an open migration of embedding models going."""

import time
from datetime import UTC, datetime

from dagster import (
    DefaultSensorStatus,
    ResourceParam,
    RunRequest,
    RunsFilter,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)

from assets.migrations import record
from assets.migrations.drive import waits_since
from assets.platform import Platform
from sensors.slots import IN_PROGRESS

MIGRATE_JOB = "migrate_model"


@sensor(
    name="migration_sensor",
    job_name=MIGRATE_JOB,
    minimum_interval_seconds=15,
    default_status=DefaultSensorStatus.RUNNING,
    description="Starts `migrate_model` while a migration is open and has something to do.",
)
def migration_sensor(context: SensorEvaluationContext, platform: ResourceParam[Platform]) -> RunRequest | SkipReason:
    with platform.database.system() as connection:
        migration = record.current(connection)
    if migration is None or not migration.is_open:
        return SkipReason("No migration is open.")
    if (why := waits_since(migration, datetime.now(UTC))) is not None:
        return SkipReason(f"Migration {migration.id} waits for {why}.")
    if context.instance.get_runs_count(RunsFilter(job_name=MIGRATE_JOB, statuses=IN_PROGRESS)):
        return SkipReason(f"Migration {migration.id}: a run is under way.")
    return RunRequest(run_key=f"migrate:{migration.id}:{time.time_ns()}")
