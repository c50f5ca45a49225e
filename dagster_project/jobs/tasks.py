"""The jobs: one task's way through the stages, a source's refresh, and what is still to be published."""

import uuid
from datetime import UTC, datetime, timedelta

from dagster import (
    AssetSelection,
    DefaultScheduleStatus,
    OpExecutionContext,
    ResourceParam,
    RunsFilter,
    ScheduleDefinition,
    define_asset_job,
    in_process_executor,
    job,
    op,
)

from assets.platform import Platform
from assets.results.assets import open_forge_for
from assets.results.conclude import publish_due
from core.forge.protocol import Forge

resolve_task = define_asset_job(
    "resolve_task",
    selection=AssetSelection.assets("task_context", "plan", "execution", "result"),
    executor_def=in_process_executor,
    description="One task, from its context to its published result.",
)

refresh_context = define_asset_job(
    "refresh_context",
    selection=AssetSelection.assets("context_index", "ticket_index"),
    executor_def=in_process_executor,
    description="Brings the context index of a source to its newest commit, and its tickets up to date.",
)


@op(description="Tries every publication that is due once more.")
def publish_due_publications(context: OpExecutionContext, platform: ResourceParam[Platform]) -> None:
    def forge(team_id: uuid.UUID, source: str) -> Forge:
        return open_forge_for(platform, team_id, source)

    for published in publish_due(platform.database, forge):
        context.log.info("%s: %s %s", published.target, published.state, published.location or published.error)


@job(executor_def=in_process_executor, description="Publications that did not go through at the first try.")
def publish_pending() -> None:
    publish_due_publications()


PRUNED_AT_ONCE = 2000


@op(description="Deletes runs that ended long ago, with their event logs. Tasks and their evidence stay.")
def delete_old_runs(context: OpExecutionContext, platform: ResourceParam[Platform]) -> None:
    before = datetime.now(UTC) - timedelta(days=platform.settings.keep_runs_days)
    old = context.instance.get_run_records(RunsFilter(created_before=before), limit=PRUNED_AT_ONCE, ascending=True)
    ended = [record.dagster_run.run_id for record in old if record.dagster_run.is_finished]
    for run_id in ended:
        context.instance.delete_run(run_id)
    context.log.info("deleted %d runs from before %s", len(ended), before.date())


@job(executor_def=in_process_executor, description="Dagster's event log grows without end; this keeps it in bounds.")
def prune_runs() -> None:
    delete_old_runs()


prune_nightly = ScheduleDefinition(
    job=prune_runs, cron_schedule="17 3 * * *", default_status=DefaultScheduleStatus.RUNNING
)
