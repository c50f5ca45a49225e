"""The task sensor, which turns task events into runs of `resolve_task`, and the reconciler for runs that went silent.

Neither has to prevent double runs: a task happens once because its run must claim a lease.
"""

import time
import uuid
from collections.abc import Sequence
from typing import Any

from dagster import (
    AddDynamicPartitionsRequest,
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
from core import attempts, tasks
from core.eventlog.postgres import PostgresLog
from core.eventlog.protocol import UnknownTopic
from core.events import TASKS, Event
from core.states import TaskState
from sensors import cursor
from sensors.dead_letters import send_to_dead_letters
from sensors.slots import TASK_JOB, free_slots

GROUP = "penstock-tasks"
TICK_SECONDS = 20.0
SLOT_POLL_SECONDS = 0.1
MOST_SILENT = 200
"""Most silent tasks that one tick of the reconciler examines."""


def _request(team: uuid.UUID, task: uuid.UUID, attempt: int, source: str, run_key: str) -> RunRequest:
    return RunRequest(
        run_key=run_key,
        partition_key=partition_key(team, source),
        tags=run_tags(team, task, attempt),
        job_name=TASK_JOB,
    )


def _new_partitions(
    context: SensorEvaluationContext, requests: Sequence[RunRequest]
) -> list[AddDynamicPartitionsRequest]:
    known = set(context.instance.get_dynamic_partitions(SOURCES.name or ""))
    keys = {str(request.partition_key) for request in requests} - known
    return [SOURCES.build_add_request(sorted(keys))] if keys else []


def wanted(platform: Platform, events: Sequence[Event]) -> list[tuple[Event, uuid.UUID, int]]:
    """The events whose attempt is still waiting for its first run, each once, with task id and attempt: drops
    repeats, and tasks that were cancelled or claimed meanwhile."""
    first: dict[tuple[uuid.UUID, int], Event] = {}
    for event in events:
        if event.type == tasks.REQUESTED:
            first.setdefault((uuid.UUID(str(event.data["task"])), int(event.data["attempt"])), event)
    if not first:
        return []
    with platform.database.system() as connection:
        rows: list[tuple[Any, ...]] = connection.execute(
            "SELECT id, attempt FROM tasks WHERE id = ANY(%s) AND state = 'queued'", ([task for task, _ in first],)
        ).fetchall()
    waiting = {(row[0], row[1]) for row in rows}
    return [(event, *key) for key, event in first.items() if key in waiting]


@sensor(
    name="task_sensor",
    job_name=TASK_JOB,
    minimum_interval_seconds=1,
    default_status=DefaultSensorStatus.RUNNING,
    description="Takes task events from the log, no more than there are free slots.",
)
def task_sensor(context: SensorEvaluationContext, platform: ResourceParam[Platform]) -> SensorResult | SkipReason:
    log = platform.settings.event_log
    offsets = cursor.load(context.cursor, log)
    start = dict(offsets)
    deadline = time.monotonic() + TICK_SECONDS
    while (left := deadline - time.monotonic()) > 0:
        free = free_slots(context.instance, platform.settings.slots)
        if not free:
            time.sleep(SLOT_POLL_SECONDS)
            continue
        try:
            batch = platform.reader.read(TASKS, offsets, limit=free, wait=left)
        except UnknownTopic as missing:
            return SkipReason(f"{missing}; the relay creates it")
        if batch.unreadable:
            send_to_dead_letters(platform, batch.unreadable)
        offsets = dict(batch.next_offsets)
        requests = [
            _request(event.teamid, task, attempt, event.subject, f"task:{task}:{attempt}")
            for event, task, attempt in wanted(platform, [record.event for record in batch.records])
        ]
        if requests:
            platform.reader.commit_group(GROUP, TASKS, offsets)
            return SensorResult(
                run_requests=requests,
                cursor=cursor.dump(log, offsets),
                dynamic_partitions_requests=_new_partitions(context, requests),
            )
    if offsets != start:
        platform.reader.commit_group(GROUP, TASKS, offsets)
        return SensorResult(skip_reason="Only repeats and cancelled tasks.", cursor=cursor.dump(log, offsets))
    return SkipReason("No task was waiting, or every slot was taken.")


@sensor(
    name="reconciler",
    job_name=TASK_JOB,
    minimum_interval_seconds=2,
    default_status=DefaultSensorStatus.RUNNING,
    description="Relaunches tasks whose run went silent, and tasks that no run has claimed.",
)
def reconciler(context: SensorEvaluationContext, platform: ResourceParam[Platform]) -> SensorResult | SkipReason:
    settings = platform.settings
    free = free_slots(context.instance, settings.slots)
    if not free:
        return SkipReason("Every slot is taken.")
    silent = attempts.lapsed(platform.database, unclaimed_seconds=settings.lease_seconds, limit=MOST_SILENT)
    backlog = bool(silent) and any(platform.reader.lag(GROUP, TASKS).values())
    requests: list[RunRequest] = []
    for lost in silent:
        if len(requests) == free:
            break
        runs = context.instance.get_runs(
            RunsFilter(tags={TASK_TAG: str(lost.task_id), ATTEMPT_TAG: str(lost.attempt)}),
            limit=settings.max_claims * 2 + 1,
        )
        if any(not run.is_finished for run in runs):
            continue
        if backlog and not runs and not lost.claims:
            continue  # its event waits in the log for a free slot
        if len(runs) > settings.max_claims * 2:
            _fail(platform, lost, f"{len(runs)} runs ended before they could claim it; last one: {runs[0].run_id}")
            continue
        requests.append(
            _request(
                lost.team_id,
                lost.task_id,
                lost.attempt,
                lost.source,
                f"again:{lost.task_id}:{lost.attempt}:{len(runs)}",
            )
        )
    if not requests:
        return SkipReason("Every open task has a live run or waits in the log.")
    return SensorResult(run_requests=requests, dynamic_partitions_requests=_new_partitions(context, requests))


def _fail(platform: Platform, lost: attempts.Lapsed, reason: str) -> None:
    with platform.database.team(lost.team_id) as connection:
        task = tasks.get_task(connection, lost.task_id, lock=True)
        if not task.closed and task.attempt == lost.attempt:
            tasks.close(connection, PostgresLog(platform.database), task, TaskState.FAILED, reason)
