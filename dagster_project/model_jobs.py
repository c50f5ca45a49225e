"""The jobs of embedding models: an open migration, and what models need every night."""

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

from assets.migrations.upkeep import keep_models
from assets.platform import Platform

migrate_model = define_asset_job(
    "migrate_model",
    selection=AssetSelection.assets("model_migration"),
    executor_def=in_process_executor,
    description="Takes the open migration of embedding models as far as it goes now.",
)


@op(description="Embeds what serving models lack, and retires draining models that nothing needs any more.")
def keep_embedding_models(context: OpExecutionContext, platform: ResourceParam[Platform]) -> None:
    done = keep_models(platform, tell=context.log.info)
    for name, why in done.left:
        context.log.warning("%s: left for the next time: %s", name, why)


@job(name="keep_models", executor_def=in_process_executor, description="Every model in use covers what it should.")
def keep_models_job() -> None:
    keep_embedding_models()


SCHEDULES = [
    ScheduleDefinition(job=keep_models_job, cron_schedule="7 4 * * *", default_status=DefaultScheduleStatus.RUNNING)
]
