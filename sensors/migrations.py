"""Sensors that start queued migrations of embedding models, and drive an open migration."""

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

from assets.migrations.lifecycle import begin, record
from assets.migrations.lifecycle.drive import waits_since
from assets.platform import Platform
from core.embedding import migration_requests
from core.health.migration_health import read_health
from sensors.slots import IN_PROGRESS

MIGRATE_JOB = "migrate_model"
BEGIN_JOB = "begin_migration"


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
        health = read_health(connection)
    if migration is None or not migration.is_open:
        return SkipReason("No migration is open.")
    if health is not None and health.stalled is not None:
        context.log.warning("migration %d, %s to %s: %s", health.number, health.old, health.new, health.stalled)
    if (why := waits_since(migration, datetime.now(UTC))) is not None:
        return SkipReason(f"Migration {migration.id} waits for {why}.")
    if context.instance.get_runs_count(RunsFilter(job_name=MIGRATE_JOB, statuses=IN_PROGRESS)):
        return SkipReason(f"Migration {migration.id}: a run is in progress.")
    return RunRequest(run_key=f"migrate:{migration.id}:{time.time_ns()}")


@sensor(
    name="migration_request_sensor",
    job_name=BEGIN_JOB,
    minimum_interval_seconds=15,
    default_status=DefaultSensorStatus.RUNNING,
    description="Starts `begin_migration` for a model that was registered with `migrate`, once no migration is open.",
)
def migration_request_sensor(
    context: SensorEvaluationContext, platform: ResourceParam[Platform]
) -> RunRequest | SkipReason:
    with platform.database.system() as connection:
        queued = migration_requests.waiting(connection)
        migration = record.current(connection)
    if not queued:
        return SkipReason("No migration is queued.")
    names = ", ".join(request.model for request in queued)
    if migration is not None and migration.is_open:
        return SkipReason(f"{names}: migration {migration.id} is open; these start after that.")
    if not begin.due(queued):
        return SkipReason(f"{names}: last attempt less than a minute ago: {queued[0].reason}")
    if context.instance.get_runs_count(RunsFilter(job_name=BEGIN_JOB, statuses=IN_PROGRESS)):
        return SkipReason(f"{names}: a run is in progress.")
    return RunRequest(run_key=f"begin:{queued[0].model_id}:{time.time_ns()}")
