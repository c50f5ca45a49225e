"""Questions: a task whose attempt nothing reproduces waits for an answer, and goes on with its next attempt.

While it waits it has no run and no lease. An answer that comes while the next attempt is under way is kept for the one
after it. Writing a question at a ticket, and asking whether the author of a comment may answer it, are the stage
`results`'s work.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from core import tasks
from core.answers import ANSWER_CHARACTERS, own_identity, take_answers
from core.database import Database
from core.eventlog.postgres import PostgresLog
from core.events import OUTCOMES
from core.payload import clean
from core.publications import put_publication
from core.states import TaskState
from core.tasks import IllegalMove, Task

MOST_QUESTIONS = 5
"""Attempts at one task that may ask."""
KEPT = "kept for the next attempt"
"""What becomes of an answer that no attempt has taken up yet."""
_QUESTION_CHARACTERS = 4000
_REASON_CHARACTERS = 1000


@dataclass(frozen=True)
class Question:
    """What attempt `attempt` has asked. `until`: when the task is closed without an answer. `location` is the comment
    that asks it, `state` says whether that is written."""

    attempt: int
    question: str
    until: datetime
    asked_at: datetime
    state: str
    location: str | None
    last_error: str | None


@dataclass(frozen=True)
class Answer:
    """What somebody has said, and what became of it; `attempt` is the first that works with it."""

    author: str
    body: str
    url: str | None
    state: str
    outcome: str | None
    attempt: int | None
    received_at: datetime


def may_ask(connection: Connection[Any], task: Task) -> bool:
    """Whether a task has not asked too often."""
    row = connection.execute("SELECT count(*) FROM questions WHERE task_id = %s", (task.id,)).fetchone()
    return row is not None and int(row[0]) < MOST_QUESTIONS


def wait_for_answer(
    connection: Connection[Any],
    log: PostgresLog,
    task: Task,
    question: str,
    *,
    seconds: float,
    ending: Mapping[str, Any],
) -> TaskState:
    """Ends the work of an attempt with a question, in a fenced transaction of it. `ending` is how the task is closed
    after `seconds` without an answer: `target` and `publication` of its report, and `data` of its outcome. An answer
    that is there already is taken up at once. Returns the task's state."""
    question = clean(question)[:_QUESTION_CHARACTERS]
    connection.execute(
        "INSERT INTO questions (team_id, task_id, attempt, question, until, ending) "
        "VALUES (%s, %s, %s, %s, clock_timestamp() + %s * interval '1 second', %s)",
        (task.team_id, task.id, task.attempt, question, seconds, Jsonb(dict(ending))),
    )
    tasks.move(connection, task.id, TaskState.WAITING, question[:_REASON_CHARACTERS])
    # The next epoch, so that the run that has asked can write nothing more.
    connection.execute(
        "UPDATE attempts SET holder = NULL, lease_until = NULL, epoch = epoch + 1 WHERE task_id = %s AND attempt = %s",
        (task.id, task.attempt),
    )
    kept = connection.execute(
        "SELECT author, author_id, trusted FROM answers WHERE task_id = %s AND state = 'accepted' AND attempt IS NULL "
        "ORDER BY trusted, received_at LIMIT 1",
        (task.id,),
    ).fetchone()
    if kept is None:
        days, identity = round(seconds / 86_400, 2), f"penstock:waiting:{task.id}:{task.attempt}"
        waits = tasks.task_event(task, tasks.WAITS, identity, TaskState.WAITING, question=question, days=days)
        log.append_in(connection, OUTCOMES, [waits])
        return TaskState.WAITING
    tasks.retry(connection, log, task.id, None if kept[2] else (kept[0], kept[1]))
    return TaskState.QUEUED


def answer(
    connection: Connection[Any], log: PostgresLog, identity: uuid.UUID, author: str, text: str, key: str | None = None
) -> Task:
    """Stores what somebody with a token of Penstock's answers, or says while an attempt runs, and lets a waiting task
    go on. A repeat, by `key` or else by author and text, changes nothing. Raises `TaskNotFound`, and `IllegalMove` if
    the task is closed or the text is empty or too long."""
    text = clean(text).strip()
    task = tasks.get_task(connection, identity, lock=True)
    if not 0 < len(text) <= ANSWER_CHARACTERS:
        raise IllegalMove(f"an answer has 1 to {ANSWER_CHARACTERS} characters, not {len(text)}")
    row = connection.execute("SELECT max(attempt) FROM questions WHERE task_id = %s", (identity,)).fetchone()
    asked = (row[0] if row else None) or 0
    name = own_identity(identity, asked, author, text) if key is None else own_identity(identity, -1, "", key)
    if connection.execute("SELECT FROM answers WHERE id = %s", (name,)).fetchone() is not None:
        return task
    if task.closed:
        raise IllegalMove(f"task {identity} is {task.state}: nobody works on it any more who could hear an answer")
    connection.execute(
        "INSERT INTO answers (team_id, id, task_id, author, trusted, body, state, outcome) "
        "VALUES (%s, %s, %s, %s, true, %s, 'accepted', %s)",
        (task.team_id, name, identity, author[:200], text, KEPT),
    )
    return go_on(connection, log, task, None)


def go_on(
    connection: Connection[Any], log: PostgresLog, task: Task, starter: tuple[str | None, str | None] | None
) -> Task:
    """Lets a task, whose row is locked, go on with answers that were accepted just now: it queues the next attempt, or
    adds them to one that no run has claimed yet. One that runs leaves them to the next."""
    if task.state == TaskState.WAITING:
        return tasks.retry(connection, log, task.id, starter)
    claimed = connection.execute(
        "SELECT FROM attempts WHERE (task_id, attempt) = (%s, %s)", (task.id, task.attempt)
    ).fetchone()
    if task.state == TaskState.QUEUED and claimed is None:
        take_answers(connection, task.id, task.attempt)
    return task


def close_overdue(database: Database, log: PostgresLog, limit: int) -> list[uuid.UUID]:
    """Closes the tasks whose time is over as unresolved, at most `limit`, with the report of the attempt that asked.
    One with a comment whose author has yet to be asked about is left until that is done."""
    closed: list[uuid.UUID] = []
    for _ in range(limit):
        with database.system() as connection:
            row = connection.execute(
                "SELECT t.id, q.question, q.ending, q.asked_at FROM tasks t "
                "JOIN questions q ON (q.task_id, q.attempt) = (t.id, t.attempt) "
                "WHERE t.state = 'waiting' AND q.until <= clock_timestamp() "
                "AND NOT EXISTS (SELECT FROM answers a WHERE a.task_id = t.id AND a.state = 'pending') "
                "ORDER BY q.until LIMIT 1 FOR UPDATE OF t SKIP LOCKED"
            ).fetchone()
            if row is None:
                break
            identity, question, ending, asked_at = row
            task = tasks.get_task(connection, identity)
            put_publication(connection, task, ending["target"], ending["publication"])
            reason = f"nobody has answered the question of {asked_at:%Y-%m-%d}: {question}"
            tasks.close(connection, log, task, TaskState.UNRESOLVED, reason[:_REASON_CHARACTERS], ending["data"])
            closed.append(identity)
    return closed


def find_question(connection: Connection[Any], task: Task) -> Question | None:
    """What the task waits for; None if it does not wait."""
    if task.state != TaskState.WAITING:
        return None
    with connection.cursor(row_factory=class_row(Question)) as cursor:
        return cursor.execute(
            "SELECT attempt, question, until, asked_at, state, location, last_error FROM questions "
            "WHERE (task_id, attempt) = (%s, %s)",
            (task.id, task.attempt),
        ).fetchone()


def list_answers(connection: Connection[Any], task_id: uuid.UUID, limit: int = 20) -> list[Answer]:
    """What people have answered, the newest first."""
    with connection.cursor(row_factory=class_row(Answer)) as cursor:
        return cursor.execute(
            "SELECT author, body, url, state, outcome, attempt, received_at FROM answers WHERE task_id = %s "
            "ORDER BY received_at DESC, id LIMIT %s",
            (task_id, limit),
        ).fetchall()
