"""The task sensor, which turns task events into runs of `resolve_task`, and the reconciler for runs that went silent.

Neither has to prevent double runs: a task happens once because its run must claim a lease.
"""

import time
import uuid
from collections.abc import Iterable, Sequence

from dagster import (
    AddDynamicPartitionsRequest,
    AssetKey,
    DagsterRun,
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

from assets.attempt_run import ATTEMPT_TAG, TASK_TAG, run_tags
from assets.partitions import SOURCES, partition_key
from assets.platform import Platform
from core import attempts, tasks, tracing
from core.eventlog.postgres import PostgresLog
from core.eventlog.protocol import Record, UnknownTopic
from core.events import TASKS, Event
from core.questions import close_overdue
from core.states import TaskState
from core.task_queue import Turn, mark_due, take_turns
from core.trace_context import TraceContext
from sensors import cursor
from sensors.dead_letters import send_to_dead_letters
from sensors.looks import first_found
from sensors.slots import TASK_JOB, free_slots

GROUP = "penstock-tasks"
TICK_SECONDS = 20.0
SLOT_POLL_SECONDS = 0.1
LOOK_SECONDS = 2.0
"""How often the reconciler looks for runs that went silent."""
MOST_READ = 500
"""Most events that are read at once. They wait in the table of tasks, so none is held back by another source's."""
WORK = {
    "change": [AssetKey(name) for name in ("task_context", "plan", "execution", "result")],
    "research": [
        AssetKey(["research", name])
        for name in ("question", "decomposition", "search", "analysis", "synthesis", "report")
    ],
    "service": [AssetKey(["service", name]) for name in ("code", "version")],
}
"""The assets that a run for each kind of task makes."""
MOST_SILENT = 200
"""Most silent tasks that one tick of the reconciler examines."""


def _request(what: Turn | attempts.Lapsed, run_key: str, links: Sequence[TraceContext | None] = ()) -> RunRequest:
    with tracing.span(
        "launch attempt",
        {"penstock.task": str(what.task_id), "penstock.attempt": what.attempt, "penstock.run_key": run_key},
        parent=TraceContext.read(what.traceparent, what.tracestate),
        links=links,
        kind="consumer",
    ) as current:
        return RunRequest(
            run_key=run_key,
            partition_key=partition_key(what.team_id, what.source),
            tags=run_tags(what.team_id, what.task_id, what.attempt, current.context),
            job_name=TASK_JOB,
            asset_selection=WORK[what.kind or "change"],
        )


def _receive(records: Iterable[Record]) -> None:
    """One span for each event that was read, in the trace that it carries."""
    if tracing.is_on():
        for record in records:
            told: dict[str, tracing.Value | None] = {"messaging.system": "penstock", "penstock.offset": record.offset}
            with tracing.span(f"{record.topic} receive", told, parent=record.event.trace, kind="consumer"):
                pass


def _partitions(context: SensorEvaluationContext) -> set[str]:
    return set(context.instance.get_dynamic_partitions(SOURCES.name or ""))


def _new_partitions(known: set[str], requests: Sequence[RunRequest]) -> list[AddDynamicPartitionsRequest]:
    keys = {str(request.partition_key) for request in requests} - known
    return [SOURCES.build_add_request(sorted(keys))] if keys else []


def requested(events: Iterable[Event]) -> list[tuple[uuid.UUID, int]]:
    """The attempts that events request, by task and number."""
    return [
        (uuid.UUID(str(event.data["task"])), int(event.data["attempt"]))
        for event in events
        if event.type == tasks.REQUESTED
    ]


@sensor(
    name="task_sensor",
    job_name=TASK_JOB,
    minimum_interval_seconds=1,
    default_status=DefaultSensorStatus.RUNNING,
    description="Takes task events from the log, and starts runs in the free slots, in turn between sources.",
)
def task_sensor(context: SensorEvaluationContext, platform: ResourceParam[Platform]) -> SensorResult | SkipReason:
    log = platform.settings.event_log
    offsets = cursor.load(context.cursor, log)
    start, committed = dict(offsets), dict(offsets)
    deadline = time.monotonic() + TICK_SECONDS
    wait = 0.0  # a slot may be free now for a task that was read before
    while time.monotonic() < deadline:
        free = free_slots(context.instance, platform.settings.slots)
        kept = _to_relaunch(context, platform, free)
        try:
            batch = platform.reader.read(TASKS, offsets, limit=MOST_READ, wait=wait)
        except UnknownTopic as missing:
            return SkipReason(f"{missing}; the relay creates it")
        if batch.unreadable:
            send_to_dead_letters(platform, batch.unreadable)
        _receive(batch.records)
        mark_due(platform.database, requested(record.event for record in batch.records))
        offsets = dict(batch.next_offsets)
        if batch.next_offsets != committed:
            platform.reader.commit_group(GROUP, TASKS, offsets)
            committed = offsets
        known = _partitions(context)  # nothing that may fail comes between the turns and their runs
        requests = [
            _request(turn, f"task:{turn.task_id}:{turn.attempt}") for turn in take_turns(platform.database, free - kept)
        ]
        if requests:
            return SensorResult(
                run_requests=requests,
                cursor=cursor.dump(log, offsets),
                dynamic_partitions_requests=_new_partitions(known, requests),
            )
        left = max(0.0, deadline - time.monotonic())
        wait = left if free > kept else min(left, SLOT_POLL_SECONDS)
    if offsets != start:
        return SensorResult(skip_reason="No task could start.", cursor=cursor.dump(log, offsets))
    return SkipReason("No task was waiting, or every slot was taken.")


@sensor(
    name="reconciler",
    job_name=TASK_JOB,
    minimum_interval_seconds=2,
    default_status=DefaultSensorStatus.RUNNING,
    description="Relaunches tasks whose run has failed or went silent, and tasks that no run has claimed. Closes those "
    "that have waited too long for an answer.",
)
def reconciler(context: SensorEvaluationContext, platform: ResourceParam[Platform]) -> SensorResult | SkipReason:
    return first_found(lambda: _look(context, platform), LOOK_SECONDS)


def _look(context: SensorEvaluationContext, platform: Platform) -> SensorResult | SkipReason:
    settings = platform.settings
    for late in close_overdue(platform.database, platform.log, MOST_SILENT):
        context.log.info("task %s: nobody has answered its question in time", late)
    _free_failed(context, platform)
    free = free_slots(context.instance, settings.slots)
    if not free:
        return SkipReason("Every slot is taken.")
    silent = attempts.lapsed(platform.database, unclaimed_seconds=settings.lease_seconds, limit=MOST_SILENT)
    backlog = bool(silent) and any(platform.reader.lag(GROUP, TASKS).values())
    requests: list[RunRequest] = []
    for lost in silent:
        if len(requests) == free:
            break
        runs = _runs_of(context, platform, lost)
        if any(not run.is_finished for run in runs):
            continue
        if backlog and not runs and not lost.claims and not lost.launched:
            continue  # its event waits in the log for a free slot
        if len(runs) > settings.max_claims * 2:
            _fail(platform, lost, f"{len(runs)} runs ended before they could claim it; last one: {runs[0].run_id}")
            continue
        key = f"again:{lost.task_id}:{lost.attempt}:{len(runs)}"
        requests.append(_request(lost, key, [TraceContext.read(lost.last_traceparent)]))
    if not requests:
        return SkipReason("Every open task has a live run or waits in the log.")
    new = _new_partitions(_partitions(context), requests)
    return SensorResult(run_requests=requests, dynamic_partitions_requests=new)


def _free_failed(context: SensorEvaluationContext, platform: Platform) -> None:
    """Frees the leases of runs that have failed, so that their tasks need not wait until these lapse."""
    holders = attempts.holders(platform.database, MOST_SILENT)
    if holders:  # an idle platform asks Dagster nothing
        failed = RunsFilter(run_ids=holders, statuses=[DagsterRunStatus.FAILURE])
        for run in context.instance.get_runs(failed):
            attempts.free_holder(platform.database, run.run_id)


def _runs_of(context: SensorEvaluationContext, platform: Platform, lost: attempts.Lapsed) -> Sequence[DagsterRun]:
    return context.instance.get_runs(
        RunsFilter(tags={TASK_TAG: str(lost.task_id), ATTEMPT_TAG: str(lost.attempt)}),
        limit=platform.settings.max_claims * 2 + 1,
    )


def _to_relaunch(context: SensorEvaluationContext, platform: Platform, free: int) -> int:
    """How many of the free slots are the reconciler's: it looks every two seconds, so without this a task whose run was
    killed would wait until no other task does."""
    if not free:
        return 0
    silent = attempts.lapsed(platform.database, unclaimed_seconds=platform.settings.lease_seconds, limit=MOST_SILENT)
    count = 0
    for lost in silent:
        begun = lost.claims or lost.launched
        if count < free and begun and all(run.is_finished for run in _runs_of(context, platform, lost)):
            count += 1
    return count


def _fail(platform: Platform, lost: attempts.Lapsed, reason: str) -> None:
    with platform.database.team(lost.team_id) as connection:
        task = tasks.get_task(connection, lost.task_id, lock=True)
        if task.state in (TaskState.QUEUED, TaskState.RUNNING) and task.attempt == lost.attempt:
            tasks.close(connection, PostgresLog(platform.database), task, TaskState.FAILED, reason)
