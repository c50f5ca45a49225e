"""Sensors that start queued migrations of embedding models, and drive an open migration."""

import time
from datetime import UTC, datetime

from dagster import (
    AssetKey,
    AssetMaterialization,
    DefaultSensorStatus,
    ResourceParam,
    RunRequest,
    RunsFilter,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)

from assets.migrations.lifecycle import begin, record
from assets.migrations.lifecycle.drive import drive, is_a_look, waits_since
from assets.migrations.lifecycle.record import Migration, MigrationRefused
from assets.migrations.report.wording import observed
from assets.platform import Platform
from core.embedding import migration_requests
from core.health.migration_health import read_health
from sensors.slots import IN_PROGRESS

MIGRATE_JOB = "migrate_model"
BEGIN_JOB = "begin_migration"
_ASSET = AssetKey("model_migration")


@sensor(
    name="migration_sensor",
    job_name=MIGRATE_JOB,
    minimum_interval_seconds=15,
    default_status=DefaultSensorStatus.RUNNING,
    description="Starts `migrate_model` while a migration is open and has something to do; looks at live searches "
    "itself after a cut-over.",
)
def migration_sensor(context: SensorEvaluationContext, platform: ResourceParam[Platform]) -> RunRequest | SkipReason:
    with platform.database.system() as connection:
        migration = record.current(connection)
        health = read_health(connection)
    if migration is None:
        return SkipReason("No migration is open.")
    if not migration.is_open:
        return _closed(context, migration)
    if health is not None and health.stalled is not None:
        context.log.warning("migration %d, %s to %s: %s", health.number, health.old, health.new, health.stalled)
    if (why := waits_since(migration, datetime.now(UTC))) is not None:
        return SkipReason(f"Migration {migration.id} waits for {why}.")
    if context.instance.get_runs_count(RunsFilter(job_name=MIGRATE_JOB, statuses=IN_PROGRESS)):
        return SkipReason(f"Migration {migration.id}: a run is in progress.")
    if is_a_look(migration, datetime.now(UTC)):
        # Once a minute for an hour: as runs, these looks would bury all others in the list of runs.
        try:
            driven = drive(platform, migration.id, tell=context.log.info)
        except MigrationRefused as refused:
            return SkipReason(f"Migration {migration.id}: {refused}.")
        if driven.migration.state == migration.state:
            return SkipReason(f"Migration {migration.id}: {observed(driven.migration)}")
    return RunRequest(run_key=f"migrate:{migration.id}:{time.time_ns()}")


def _closed(context: SensorEvaluationContext, migration: Migration) -> RunRequest | SkipReason:
    """One run shows a migration as it ended, if a command ended it and not a run, which would show it itself."""
    ended = f"{migration.id}:{migration.state}"
    if context.cursor == ended:
        return SkipReason("No migration is open.")
    if context.instance.get_runs_count(RunsFilter(job_name=MIGRATE_JOB, statuses=IN_PROGRESS)):
        return SkipReason(f"Migration {migration.id}: a run is in progress.")
    context.update_cursor(ended)
    event = context.instance.get_latest_materialization_event(_ASSET)
    made = event.asset_materialization if event is not None else None
    if made and (_shown(made, "migration"), _shown(made, "state")) == (str(migration.id), migration.state):
        return SkipReason("No migration is open.")
    return RunRequest(run_key=f"migrate:{ended}")


def _shown(made: AssetMaterialization, name: str) -> str:
    value = made.metadata.get(name)
    return "" if value is None else str(value.value)


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
