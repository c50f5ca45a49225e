"""The task store: creating, reading and moving tasks inside a caller's transaction.

Not for running them: attempts, leases and everything an attempt writes are in `core.attempts`.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from core import tracing
from core.answers import take_answers
from core.eventlog.postgres import PostgresLog
from core.events import OUTCOMES, TASKS, Event, task_id
from core.follow_ups import FollowUp
from core.health import totals
from core.states import CLOSED_TASK_STATES, TaskState

REQUESTED = "penstock.task.requested"
CLOSED = "penstock.task.closed"
ASKED = "penstock.task.asked"
"""The outcome of an attempt that ended with a question, after which the task went on."""
WAITS = "penstock.task.waiting"
"""A task has asked a question and waits for an answer: no outcome yet."""


class TaskNotFound(LookupError):
    """No task with this id in this team."""


class IllegalMove(ValueError):
    """The task's state does not allow the requested move; the message names both."""


@dataclass(frozen=True)
class Task:
    team_id: uuid.UUID
    id: uuid.UUID
    event_id: str
    source: str
    title: str
    body: str
    url: str | None
    author: str | None
    options: Mapping[str, Any]
    state: str
    reason: str | None
    attempt: int
    created_at: datetime
    updated_at: datetime
    ticket_service: str | None = None
    ticket_project: str | None = None
    ticket_key: str | None = None
    """The ticket that the task is about: `#12` of `acme/shop` at `github`."""
    starter: str | None = None
    starter_id: str | None = None
    """Who started it at the forge: the login, and the forge's id of it."""
    trusted: bool = False
    """A person with a token of Penstock's has started it or its last attempt, or a rule about failed checks has."""

    traceparent: str | None = None
    tracestate: str | None = None
    first_traceparent: str | None = None
    """The traces of what requested this attempt, and of what started the task."""

    @property
    def text(self) -> str:
        """Title and body, as one text."""
        return f"{self.title}\n\n{self.body}".strip()

    @property
    def closed(self) -> bool:
        return self.state in CLOSED_TASK_STATES


_COLUMNS = (
    "team_id, id, event_id, source, title, body, url, author, options, state, reason, attempt, created_at, updated_at, "
    "ticket_service, ticket_project, ticket_key, starter, starter_id, trusted, "
    "traceparent, tracestate, first_traceparent"
)

FOR_PERSON = (
    "(state = 'waiting' OR EXISTS (SELECT FROM publications p WHERE p.task_id = tasks.id AND p.attempt = tasks.attempt "
    "AND p.state = 'held'))"
)
"""SQL: whether a task waits for a person."""


def create_task(
    connection: Connection[Any],
    log: PostgresLog,
    *,
    event: Event,
    source: str,
    title: str,
    body: str = "",
    url: str | None = None,
    author: str | None = None,
    options: Mapping[str, Any] | None = None,
    ticket: tuple[str, str, str] | None = None,
    starter: tuple[str | None, str | None] = (None, None),
) -> uuid.UUID:
    """Writes the task that `event` starts and appends the event to `penstock.tasks`, in the caller's transaction.

    `ticket` is the service, project and key of the ticket that the task is about, `starter` the login and id of who
    caused the task there; a task without a ticket is trusted. Repeating it changes nothing. `event`
    must be of type `penstock.task.requested`, with the source's name as its subject; `request_event` makes one.
    """
    identity = task_id(event.teamid, event.id)
    trace = tracing.current()
    connection.execute(
        "INSERT INTO tasks (team_id, id, event_id, source, title, body, url, author, options, "
        "ticket_service, ticket_project, ticket_key, starter, starter_id, trusted, "
        "traceparent, tracestate, first_traceparent) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (id) DO NOTHING",
        (
            *(event.teamid, identity, event.id, source, title, body, url, author, Jsonb(dict(options or {}))),
            *(ticket or (None, None, None)),
            *starter,
            ticket is None,
            *((trace.parent, trace.state, trace.parent) if trace else (None, None, None)),
        ),
    )
    log.append_in(connection, TASKS, [event])
    return identity


def request_event(
    team_id: uuid.UUID,
    event_id: str,
    event_source: str,
    source: str,
    *,
    title: str,
    task: uuid.UUID | None = None,
    attempt: int = 1,
) -> Event:
    """The event that requests an attempt at a task. `event_source` is a URI reference (CloudEvents `source`);
    `task` is needed for later attempts only: the id of a new task is derived from the event id."""
    return Event(
        id=event_id,
        source=event_source,
        type=REQUESTED,
        subject=source,
        teamid=team_id,
        data={"task": str(task or task_id(team_id, event_id)), "attempt": attempt, "source": source, "title": title},
    )


def get_task(connection: Connection[Any], identity: uuid.UUID, *, lock: bool = False) -> Task:
    """Raises `TaskNotFound`. With `lock`, locks the row until the transaction ends."""
    query = f"SELECT {_COLUMNS} FROM tasks WHERE id = %s{' FOR UPDATE' if lock else ''}"  # noqa: S608
    with connection.cursor(row_factory=class_row(Task)) as cursor:
        task = cursor.execute(query.encode(), (identity,)).fetchone()
    if task is None:
        raise TaskNotFound(f"no task {identity}; `penstock task list` shows the tasks of your team")
    return task


def list_tasks(
    connection: Connection[Any],
    *,
    state: TaskState | None = None,
    source: str | None = None,
    text: str | None = None,
    for_person: bool = False,
    limit: int = 50,
    before: tuple[datetime, uuid.UUID] | None = None,
) -> list[Task]:
    """Newest first, at most 500. `before` is (created_at, id) of the last task on the previous page. `text` is part of
    the title; `for_person`: only tasks that wait for an answer or for approval."""
    query = (
        f"SELECT {_COLUMNS} FROM tasks WHERE (%(state)s::text IS NULL OR state = %(state)s) "  # noqa: S608
        "AND (%(source)s::text IS NULL OR source = %(source)s) "
        "AND (%(text)s::text IS NULL OR strpos(lower(title), lower(%(text)s)) > 0) "
        f"AND (NOT %(for_person)s OR {FOR_PERSON}) "
        "AND (%(at)s::timestamptz IS NULL OR (created_at, id) < (%(at)s, %(id)s::uuid)) "
        "ORDER BY created_at DESC, id DESC LIMIT %(limit)s"
    )
    at, identity = before or (None, None)
    with connection.cursor(row_factory=class_row(Task)) as cursor:
        cursor.execute(
            query.encode(),
            {
                "state": state,
                "source": source,
                "text": text,
                "for_person": for_person,
                "at": at,
                "id": identity,
                "limit": min(limit, 500),
            },
        )
        return cursor.fetchall()


def count_for_person(connection: Connection[Any]) -> int:
    """How many tasks wait for an answer or for approval."""
    row = connection.execute(f"SELECT count(*) FROM tasks WHERE {FOR_PERSON}".encode()).fetchone()  # noqa: S608
    return int(row[0]) if row else 0


def move(connection: Connection[Any], identity: uuid.UUID, to: TaskState, reason: str | None = None) -> None:
    """Moves a task. Postgres refuses an illegal move with `psycopg.errors.CheckViolation`."""
    connection.execute(
        "UPDATE tasks SET state = %s, reason = %s, updated_at = now() WHERE id = %s", (to, reason, identity)
    )


def cancel(connection: Connection[Any], log: PostgresLog, identity: uuid.UUID, reason: str = "cancelled") -> Task:
    """Cancels an open task; its run notices and stops. Cancelling a cancelled task changes nothing.
    Raises `TaskNotFound`, `IllegalMove`."""
    task = get_task(connection, identity, lock=True)
    if task.state == TaskState.CANCELLED:
        return task
    if task.closed:
        raise IllegalMove(f"task {identity} is {task.state}: only an open task can be cancelled")
    close(connection, log, task, TaskState.CANCELLED, reason)
    return get_task(connection, identity)


def retry(
    connection: Connection[Any],
    log: PostgresLog,
    identity: uuid.UUID,
    starter: tuple[str | None, str | None] | None = None,
) -> Task:
    """Queues the next attempt at a closed task or one that waits for an answer, which only a user requests: `starter`
    at the forge (login and id), or one with a token of Penstock's. Raises `TaskNotFound`, `IllegalMove`."""
    task = get_task(connection, identity, lock=True)
    if task.state not in (TaskState.UNRESOLVED, TaskState.FAILED, TaskState.CANCELLED, TaskState.WAITING):
        raise IllegalMove(
            f"task {identity} is {task.state}: only an unresolved, failed, cancelled or waiting task can be retried"
        )
    queued = _queue_next(connection, log, task, starter)
    connection.execute(  # an attempt at a pull request is retried at it
        "INSERT INTO follow_ups SELECT team_id, task_id, %s, pull, url, branch, head, request FROM follow_ups "
        "WHERE task_id = %s AND attempt = %s",
        (queued.attempt, identity, task.attempt),
    )
    return queued


def begin_again(connection: Connection[Any], log: PostgresLog, identity: uuid.UUID) -> Task:
    """Queues the next attempt at a resolved task whose patch cannot be published as it is; whoever started the task
    still has. Raises `TaskNotFound`, `IllegalMove`."""
    task = get_task(connection, identity, lock=True)
    if task.state != TaskState.RESOLVED:
        raise IllegalMove(f"task {identity} is {task.state}: only a resolved task begins again")
    return _queue_next(connection, log, task, (None, None), trusted=task.trusted)


def follow_up(
    connection: Connection[Any],
    log: PostgresLog,
    identity: uuid.UUID,
    what: FollowUp,
    starter: tuple[str | None, str | None] | None,
) -> Task:
    """Queues the next attempt at a closed task, which adds to its pull request what `starter` asks for; without one,
    whoever started the task still has. Raises `TaskNotFound`, `IllegalMove`."""
    task = get_task(connection, identity, lock=True)
    if not task.closed:
        raise IllegalMove(f"task {identity} is {task.state}: what is said about its pull request waits until it ends")
    queued = _queue_next(connection, log, task, starter or (None, None), trusted=task.trusted and starter is None)
    connection.execute(
        "INSERT INTO follow_ups (team_id, task_id, attempt, pull, url, branch, head, request) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        (
            *(task.team_id, identity, queued.attempt),
            *(what.pull, what.url, what.branch, what.head, what.request),
        ),
    )
    return queued


def _queue_next(
    connection: Connection[Any],
    log: PostgresLog,
    task: Task,
    starter: tuple[str | None, str | None] | None,
    *,
    trusted: bool = False,
) -> Task:
    identity, attempt = task.id, task.attempt + 1
    asked = task.state == TaskState.WAITING
    if asked:
        _end_attempt(connection, task)
        log.append_in(connection, OUTCOMES, [_outcome(task, ASKED, task.state, task.reason)])
    take_answers(connection, identity, attempt)
    trace = tracing.current()
    connection.execute(
        "UPDATE tasks SET state = 'queued', reason = NULL, attempt = %s, updated_at = now(), trusted = %s, "
        "starter = coalesce(%s, starter), starter_id = coalesce(%s, starter_id), traceparent = %s, tracestate = %s "
        "WHERE id = %s",
        (
            *(attempt, trusted or starter is None, *(starter or (None, None))),
            *((trace.parent, trace.state) if trace else (None, None)),
            identity,
        ),
    )
    event = request_event(
        task.team_id,
        f"penstock:retry:{identity}:{attempt}",
        "/penstock/tasks",
        task.source,
        title=task.title,
        task=identity,
        attempt=attempt,
    )
    log.append_in(connection, TASKS, [event])
    if asked:
        totals.add(connection, task.team_id, totals.ended("asked", None))
    return get_task(connection, identity)


def close(
    connection: Connection[Any],
    log: PostgresLog,
    task: Task,
    state: TaskState,
    reason: str,
    data: Mapping[str, Any] | None = None,
    counts: totals.Counts | None = None,
) -> Event:
    """Ends the task's attempt in `state` and appends its outcome to `penstock.outcomes`, in one transaction, in which
    it is counted together with `counts`.

    The outcome's id is made from task and attempt, so the log holds one outcome however often a run repeats.
    """
    move(connection, task.id, state, reason)
    _end_attempt(connection, task)
    event = _outcome(task, CLOSED, state, reason, data)
    log.append_in(connection, OUTCOMES, [event])
    totals.add(connection, task.team_id, totals.ended(state, _latency(task, state)).plus(counts))
    return event


def _latency(task: Task, state: TaskState) -> float | None:
    """Seconds from the event to the result. None for what people did later, which says nothing of the platform."""
    if task.attempt > 1 or state == TaskState.CANCELLED or task.state == TaskState.WAITING:
        return None
    return (datetime.now(UTC) - task.created_at).total_seconds()


def _end_attempt(connection: Connection[Any], task: Task) -> None:
    connection.execute(
        "UPDATE attempts SET ended_at = coalesce(ended_at, now()), lease_until = NULL "
        "WHERE task_id = %s AND attempt = %s",
        (task.id, task.attempt),
    )


def _outcome(task: Task, kind: str, state: str, reason: str | None, data: Mapping[str, Any] | None = None) -> Event:
    return task_event(task, kind, f"penstock:outcome:{task.id}:{task.attempt}", state, reason=reason, **(data or {}))


def task_event(task: Task, kind: str, identity: str, state: str, **data: Any) -> Event:
    """An event about what becomes of a task's attempt."""
    about = {"task": str(task.id), "attempt": task.attempt, "source": task.source, "title": task.title, "state": state}
    return Event(
        id=identity,
        source="/penstock/tasks",
        type=kind,
        subject=task.source,
        teamid=task.team_id,
        data={**about, **data},
    )


def details(connection: Connection[Any], identity: uuid.UUID) -> dict[str, Any]:
    """A task with its stages, verdict, patch, publications and number of actions, for the command line and the API."""
    task = get_task(connection, identity)
    key = (identity, task.attempt)
    with connection.cursor(row_factory=dict_row) as cursor:
        stages = cursor.execute(
            "SELECT stage, seconds, at, body FROM stage_outputs WHERE task_id = %s AND attempt = %s ORDER BY at", key
        ).fetchall()
        verdict = cursor.execute(
            "SELECT verdict, patch_sha256, body, at FROM verdicts WHERE task_id = %s AND attempt = %s", key
        ).fetchone()
        publications = cursor.execute(
            "SELECT target, state, tries, location, last_error, next_try_at, updated_at FROM publications "
            "WHERE task_id = %s AND attempt = %s ORDER BY target",
            key,
        ).fetchall()
        actions = cursor.execute(
            "SELECT count(*) AS n FROM trajectory WHERE task_id = %s AND attempt = %s", key
        ).fetchone()
        remarks = cursor.execute(
            "SELECT kind, author, state, outcome, url, attempt, received_at FROM feedback WHERE task_id = %s "
            "ORDER BY received_at DESC LIMIT 20",
            (identity,),
        ).fetchall()
        patch = cursor.execute(
            "SELECT diff, base_commit FROM patches WHERE sha256 = %s", (verdict["patch_sha256"] if verdict else None,)
        ).fetchone()
    return {
        "task": task,
        "stages": stages,
        "verdict": verdict,
        "patch": patch,
        "publications": publications,
        "remarks": remarks,
        "actions": actions["n"] if actions else 0,
    }
