"""Jobs of tasks: resolving a task, refreshing a source, publishing pending results, and pruning old runs."""

import uuid
from datetime import UTC, datetime, timedelta

from dagster import (
    AssetCheckKey,
    AssetKey,
    AssetSelection,
    DagsterInstance,
    DefaultScheduleStatus,
    OpExecutionContext,
    ResourceParam,
    RunRequest,
    RunsFilter,
    ScheduleDefinition,
    SkipReason,
    define_asset_job,
    in_process_executor,
    job,
    op,
    schedule,
)
from dagster._core.storage.dagster_run import FINISHED_STATUSES

from assets.platform import Platform
from assets.results.deliver import deliver
from assets.results.fates import anything_to_follow, note_fates
from core.git import Repository
from dagster_project.kubernetes import resources

_LEDGER = AssetSelection.checks(AssetCheckKey(AssetKey("result"), "ledger_balances"))

resolve_task = define_asset_job(
    "resolve_task",
    selection=(
        AssetSelection.assets("task_context", "plan", "execution", "result")
        | AssetSelection.groups("research", "services")
    )
    - _LEDGER,
    executor_def=in_process_executor,
    tags=resources.run_tags("resolve_task"),
    description="Takes one task from its context, its question or its code to its published result.",
)

refresh_context = define_asset_job(
    "refresh_context",
    selection=AssetSelection.assets("context_index", "ticket_index"),
    executor_def=resources.executor("refresh_context"),
    tags=resources.run_tags("refresh_context"),
    description="Indexes a source's newest commit and its changed tickets.",
)


@op(description="Carries out commands from tickets, and tries every publication and status comment that is due.")
def publish_due_publications(context: OpExecutionContext, platform: ResourceParam[Platform]) -> None:
    for line in deliver(platform).lines():
        context.log.info("%s", line)


@job(executor_def=in_process_executor, description="Retries publications that failed before.")
def publish_pending() -> None:
    publish_due_publications()


@op(description="Looks up in each source's history what became of published patches.")
def look_up_fates(context: OpExecutionContext, platform: ResourceParam[Platform]) -> None:
    def open_mirror(team_id: uuid.UUID, source: str) -> tuple[Repository, str]:
        return platform.mirror(team_id, source), platform.visible_commit(team_id, source)

    for change in note_fates(platform.database, open_mirror):
        context.log.info("task %s, source %s: %s (%s)", change.task_id, change.source, change.fate, change.commit)


@job(
    executor_def=in_process_executor,
    description="Follows published patches: merged unchanged, merged with changes, reverted, closed, or open.",
)
def follow_patches() -> None:
    look_up_fates()


@schedule(job=follow_patches, cron_schedule="*/10 * * * *", default_status=DefaultScheduleStatus.RUNNING)
def follow_patches_schedule(platform: ResourceParam[Platform]) -> RunRequest | SkipReason:
    """A run only when there is something to look up, so that runs without work do not bury those of tasks."""
    with platform.database.system() as connection:
        if not anything_to_follow(connection):
            return SkipReason("No source with a published patch has moved on.")
    return RunRequest()


check_ledger = define_asset_job(
    "check_ledger",
    selection=_LEDGER,
    executor_def=in_process_executor,
    description="Checks that every accepted delivery is accounted for.",
)

ledger_schedule = ScheduleDefinition(
    job=check_ledger, cron_schedule="27 * * * *", default_status=DefaultScheduleStatus.RUNNING
)

PRUNED_AT_ONCE = 2000


@op(description="Deletes runs older than PENSTOCK_KEEP_RUNS_DAYS with their event logs. Tasks and evidence stay.")
def delete_old_runs(context: OpExecutionContext, platform: ResourceParam[Platform]) -> None:
    before = datetime.now(UTC) - timedelta(days=platform.settings.keep_runs_days)
    context.log.info("%d runs created before %s deleted", delete_runs(context.instance, before), before.date())


def ended_before(before: datetime) -> RunsFilter:
    return RunsFilter(created_before=before, statuses=FINISHED_STATUSES)


def delete_runs(instance: DagsterInstance, before: datetime) -> int:
    """Deletes the oldest runs that have ended, at most `PRUNED_AT_ONCE`, and returns how many."""
    old = instance.get_run_records(ended_before(before), limit=PRUNED_AT_ONCE, ascending=True)
    for record in old:
        instance.delete_run(record.dagster_run.run_id)
    return len(old)


@job(
    executor_def=in_process_executor, description="Deletes old runs, so that Dagster's event log does not grow forever."
)
def prune_runs() -> None:
    delete_old_runs()


prune_nightly = ScheduleDefinition(
    job=prune_runs, cron_schedule="17 3 * * *", default_status=DefaultScheduleStatus.RUNNING
)
