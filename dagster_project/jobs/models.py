"""Jobs for embedding models: starting, driving and steering migrations, and nightly maintenance."""

from typing import Literal

from dagster import (
    AssetSelection,
    Config,
    DefaultScheduleStatus,
    Failure,
    OpExecutionContext,
    ResourceParam,
    ScheduleDefinition,
    define_asset_job,
    in_process_executor,
    job,
    op,
)

from assets.migrations.lifecycle.begin import begin_requested
from assets.migrations.lifecycle.record import MigrationRefused
from assets.migrations.lifecycle.steer import steer
from assets.platform import Platform
from dagster_project.kubernetes import resources

migrate_model = define_asset_job(
    "migrate_model",
    selection=AssetSelection.assets("model_migration"),
    executor_def=resources.executor("migrate_model"),
    tags=resources.run_tags("migrate_model"),
    description="Advances the open migration of embedding models as far as possible now.",
)


@op(description="Starts the first queued migration that can start; `migration_sensor` then drives it.")
def begin_requested_migration(context: OpExecutionContext, platform: ResourceParam[Platform]) -> None:
    if begin_requested(platform, tell=context.log.info) is None:
        context.log.info("no migration was started")


@job(
    name="begin_migration",
    executor_def=in_process_executor,
    description="Starts the migration to a model that was registered with `migrate`.",
)
def begin_migration_job() -> None:
    begin_requested_migration()


class Steer(Config):
    """An operator's action on a migration; without a number, on the open or last one."""

    action: Literal["pause", "resume", "cancel", "compare", "cutover", "rollback"]
    number: int = 0
    accept: bool = False
    queries: int = 0
    reason: str = "by job"


@op(description="Steers a migration, as `penstock migrate` does.")
def steer_model_migration(context: OpExecutionContext, config: Steer, platform: ResourceParam[Platform]) -> None:
    try:
        moved = steer(
            platform,
            config.action,
            config.number or None,
            accept=config.accept,
            reason=config.reason,
            queries=config.queries or None,
        )
    except MigrationRefused as error:
        raise Failure(str(error), allow_retries=False) from error
    state = f"{moved.state} (paused)" if moved.paused else moved.state
    context.log.info("migration %d, %s to %s: %s", moved.id, moved.old_name, moved.new_name, state)


@job(
    name="steer_migration",
    executor_def=in_process_executor,
    description="An operator's action from the UI: pause, resume, cancel, compare, cutover or rollback.",
)
def steer_migration_job() -> None:
    steer_model_migration()


keep_models_job = define_asset_job(
    "keep_models",
    selection=AssetSelection.assets("embedding_models"),
    executor_def=in_process_executor,
    description="Fills gaps in the coverage of models in use, and retires models by their deadlines.",
)


SCHEDULES = [
    ScheduleDefinition(job=keep_models_job, cron_schedule="7 4 * * *", default_status=DefaultScheduleStatus.RUNNING)
]
