"""The thread of a task: made at the first look, filled with what the task's attempts do, and read for what people say.

Entries of the trajectory are copied with a position that moves in the same transaction, so each appears once, however
many processes copy. Messages of people become remarks of the task (`core.remarks`), once by the message's id.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg import Connection
from psycopg.types.json import Jsonb

from core.counts import counted
from core.database import Database
from core.endings import read_ending
from core.eventlog.postgres import PostgresLog
from core.states import CLOSED_TASK_STATES
from core.tasks import Task, get_task
from core.timeline import describe, moment_of, read_plans
from core.work import ModelUse

PLATFORM = "Penstock"
OWNER = "platform:"
AT_ONCE = 500
_TEXT = 20_000


def thread_id(task: uuid.UUID) -> uuid.UUID:
    return uuid.uuid5(task, "thread")


def ensure_thread(database: Database, team: uuid.UUID, task_id: uuid.UUID) -> uuid.UUID:
    """The thread of a task, made if there is none yet. Raises `core.tasks.TaskNotFound`."""
    identity = thread_id(task_id)
    with database.team(team) as connection:
        task = get_task(connection, task_id)
        made = connection.execute(
            "INSERT INTO threads (team_id, id, owner, title, visibility, task_id) VALUES (%s, %s, %s, %s, 'team', %s) "
            "ON CONFLICT DO NOTHING",
            (team, identity, OWNER, task.title[:300] or "Task", task_id),
        ).rowcount
        if made:
            connection.execute(
                "INSERT INTO thread_mirrors (team_id, task_id, thread_id) VALUES (%s, %s, %s)",
                (team, task_id, identity),
            )
            with _appending(connection, identity) as thread:
                thread.op("create", {"title": thread.title, "owner": OWNER, "visibility": "team", "task": str(task_id)})
                thread.say(uuid.uuid5(task_id, "request"), task.text[:_TEXT], {}, author=task.author or task.starter)
    return identity


def copy_trajectory(database: Database, team: uuid.UUID, task_id: uuid.UUID) -> int:
    """Copies what the thread of a task lacks, and returns how many messages that were. Nothing if it has no thread."""
    copied = 0
    while True:
        with database.team(team) as connection:
            row = connection.execute(
                "SELECT m.attempt, m.seq, m.state FROM threads t JOIN thread_mirrors m ON m.thread_id = t.id "
                "WHERE m.task_id = %s FOR NO KEY UPDATE OF t",
                (task_id,),
            ).fetchone()
            if row is None:
                return copied
            row = connection.execute(
                "SELECT attempt, seq, state FROM thread_mirrors WHERE task_id = %s", (task_id,)
            ).fetchone()
            assert row is not None  # noqa: S101  locked above
            found, more = _copy_some(connection, task_id, *row)
            copied += found
        if not more:
            return copied


def _copy_some(connection: Connection[Any], task_id: uuid.UUID, attempt: int, seq: int, state: str) -> tuple[int, bool]:
    task, first = get_task(connection, task_id), attempt
    entries = connection.execute(
        "SELECT attempt, seq, kind, body, at FROM trajectory WHERE task_id = %s AND (attempt, seq) > (%s, %s) "
        "ORDER BY attempt, seq LIMIT %s",
        (task_id, attempt, seq, AT_ONCE),
    ).fetchall()
    with _appending(connection, thread_id(task_id)) as thread:
        for plan, at in read_plans(connection, task_id, task.attempt):
            moment = moment_of(plan, at)
            body = {"entry": {"attempt": task.attempt, "kind": "plan", "details": list(moment.details)[:50]}}
            thread.say(uuid.uuid5(task_id, f"plan {task.attempt} {plan.revision}"), moment.text[:_TEXT], body)
        for attempt, seq, kind, body, _ in entries:
            entry = {"entry": {"attempt": attempt, "seq": seq, "kind": kind}}
            thread.say(uuid.uuid5(task_id, f"entry {attempt} {seq}"), describe(kind, body)[:_TEXT] or kind, entry)
        for number, use in _model_use(connection, task_id, first):
            text = (
                f"the model {use.model} took {counted(use.steps, 'step')}: {use.prompt_tokens:,} tokens in, "
                f"{use.completion_tokens:,} out, {use.money:.4f} US dollars{' (estimated)' if use.estimated else ''}"
            )
            used: dict[str, Any] = {
                "entry": {"attempt": number, "kind": "model"},
                "model": use.model[:200],
                "tokens": {"in": use.prompt_tokens, "out": use.completion_tokens},
                "cost": use.money,
            }
            thread.say(uuid.uuid5(task_id, f"model {number}"), text, used)
        now = f"{task.attempt} {task.state}"
        if now != state and len(entries) < AT_ONCE:
            text = _state(connection, task)
            thread.say(uuid.uuid5(task_id, f"state {now}"), text, {"entry": {"attempt": task.attempt, "kind": "state"}})
        elif len(entries) == AT_ONCE:
            now = state
    connection.execute(
        "UPDATE thread_mirrors SET attempt = %s, seq = %s, state = %s WHERE task_id = %s", (attempt, seq, now, task_id)
    )
    return thread.said, len(entries) == AT_ONCE


def _model_use(connection: Connection[Any], task_id: uuid.UUID, first: int) -> list[tuple[int, ModelUse]]:
    """What a chat model was used for in attempts from `first` on whose execution is over, and what it cost."""
    rows = connection.execute(
        "SELECT attempt, body -> 'model' FROM stage_outputs WHERE task_id = %s AND attempt >= %s "
        "AND stage = 'execution' AND jsonb_typeof(body -> 'model') = 'object' ORDER BY attempt",
        (task_id, first),
    ).fetchall()
    return [(number, ModelUse.model_validate(body)) for number, body in rows]


def _state(connection: Connection[Any], task: Task) -> str:
    text = f"attempt {task.attempt}: {task.state}"
    if task.reason:
        text += f", {task.reason.rstrip('. ')}"
    ending = read_ending(connection, task.id) if task.state in CLOSED_TASK_STATES else None
    return f"{text}. {ending.sentence()}".strip(" .") if ending else text


def deliver_remarks(database: Database, team: uuid.UUID, task_id: uuid.UUID) -> int:
    """Hands what people said in a task's thread to the task, in order, and returns how many messages that were."""
    from core.remarks import add_remark

    with database.team(team) as connection:
        rows = connection.execute(
            "SELECT r.thread_id, r.seq, m.id, m.author, m.text FROM thread_remarks r "
            "JOIN thread_messages m ON m.thread_id = r.thread_id AND m.id = r.message_id "
            "WHERE r.task_id = %s ORDER BY r.seq FOR UPDATE OF r",
            (task_id,),
        ).fetchall()
        log = PostgresLog(database)
        for thread, seq, message, author, text in rows:
            if text.strip():
                add_remark(connection, log, task_id, f"thread:{message}", author, text)
            connection.execute("DELETE FROM thread_remarks WHERE thread_id = %s AND seq = %s", (thread, seq))
    return len(rows)


class _Thread:
    """A thread whose row this transaction holds, and to which it appends for the platform."""

    def __init__(
        self, connection: Connection[Any], identity: uuid.UUID, team: uuid.UUID, title: str, head: int
    ) -> None:
        self._connection = connection
        self._identity = identity
        self._team = team
        self.title = title
        self.head = head
        self.said = 0

    def op(self, kind: str, body: dict[str, Any], author: str = PLATFORM) -> None:
        self.head += 1
        stored = Jsonb(body)
        self._connection.execute(
            "INSERT INTO thread_ops (team_id, thread_id, seq, kind, author, body, size) "
            "SELECT %s, %s, %s, %s, %s, b, length(b::text) FROM (SELECT %s::jsonb AS b) AS given",
            (self._team, self._identity, self.head, kind, author, stored),
        )

    def say(self, message: uuid.UUID, text: str, body: dict[str, Any], author: str | None = None) -> None:
        """Appends a message, unless it is there. One with an author is the request, as that person made it."""
        role, shown = ("user", author) if author else ("info", PLATFORM)
        made = self._connection.execute(
            "INSERT INTO thread_messages (team_id, thread_id, id, seq, revision, role, author, text, body, cost, "
            "tokens_in, tokens_out) SELECT %s, %s, %s, %s, %s, %s, %s, %s, b, (b ->> 'cost')::numeric, "
            "(b -> 'tokens' ->> 'in')::bigint, (b -> 'tokens' ->> 'out')::bigint FROM (SELECT %s::jsonb AS b) AS given "
            "ON CONFLICT (thread_id, id) DO NOTHING",
            (self._team, self._identity, message, self.head + 1, self.head + 1, role, shown, text, Jsonb(body)),
        ).rowcount
        if made:
            self.op("append", {"id": str(message), "role": role, "text": text, "body": body}, shown)
            self.said += 1


@contextmanager
def _appending(connection: Connection[Any], identity: uuid.UUID) -> Iterator[_Thread]:
    row = connection.execute(
        "SELECT team_id, title, head_seq FROM threads WHERE id = %s FOR NO KEY UPDATE", (identity,)
    ).fetchone()
    assert row is not None  # noqa: S101  the caller made it or holds it
    team, title, head = row
    thread = _Thread(connection, identity, team, title, head)
    yield thread
    if thread.head > head:
        connection.execute(
            "UPDATE threads SET head_seq = %s, messages = messages + %s, updated_at = clock_timestamp() WHERE id = %s",
            (thread.head, thread.said, identity),
        )
        connection.execute(
            "INSERT INTO thread_feed (team_id, thread_id, from_seq) VALUES (%s, %s, %s)", (team, identity, head + 1)
        )
        connection.execute("SELECT threads_announce(%s)", (team,))
