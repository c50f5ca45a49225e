"""Every night, deletes what ended tasks need no more: trajectories, records of model requests and left work folders."""

from dagster import (
    DefaultScheduleStatus,
    OpExecutionContext,
    ResourceParam,
    ScheduleDefinition,
    in_process_executor,
    job,
    op,
)

from assets.platform import Platform
from dagster_project.operations.retention import TASK_KINDS, kinds


@op(description="Deletes old trajectories, records of requests to models, and work folders that killed runs left.")
def delete_old_work(context: OpExecutionContext, platform: ResourceParam[Platform]) -> None:
    for kind in kinds(platform, context.instance):
        if kind.name in TASK_KINDS:
            context.log.info("%s: %d older than %d days deleted", kind.name, kind.prune(), kind.days)


@job(
    executor_def=in_process_executor,
    description="Deletes what ended tasks need no more. Tasks, plans, verdicts, patches and publications stay.",
)
def prune_tasks() -> None:
    delete_old_work()


prune_tasks_nightly = ScheduleDefinition(
    job=prune_tasks, cron_schedule="7 4 * * *", default_status=DefaultScheduleStatus.RUNNING
)
