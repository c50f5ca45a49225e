"""The jobs of embedding models: migrations that begin or are open, and what models need every night."""

from dagster import (
    AssetSelection,
    DefaultScheduleStatus,
    OpExecutionContext,
    ResourceParam,
    ScheduleDefinition,
    define_asset_job,
    in_process_executor,
    job,
    op,
)

from assets.migrations.begin import begin_requested
from assets.platform import Platform

migrate_model = define_asset_job(
    "migrate_model",
    selection=AssetSelection.assets("model_migration"),
    executor_def=in_process_executor,
    description="Takes the open migration of embedding models as far as it goes now.",
)


@op(description="Begins the first migration that was asked for and can begin; `migration_sensor` takes it on.")
def begin_requested_migration(context: OpExecutionContext, platform: ResourceParam[Platform]) -> None:
    if begin_requested(platform, tell=context.log.info) is None:
        context.log.info("no migration has begun")


@job(
    name="begin_migration",
    executor_def=in_process_executor,
    description="Begins the migration to a model that was registered with `migrate`.",
)
def begin_migration_job() -> None:
    begin_requested_migration()


keep_models_job = define_asset_job(
    "keep_models",
    selection=AssetSelection.assets("embedding_models"),
    executor_def=in_process_executor,
    description="Every model in use covers what it should, and models go on their day.",
)


SCHEDULES = [
    ScheduleDefinition(job=keep_models_job, cron_schedule="7 4 * * *", default_status=DefaultScheduleStatus.RUNNING)
]
