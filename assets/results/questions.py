"""Asks what attempts need to know, each question in one comment on its task's ticket, and hears what is said there.

Only who may start work at that moment is heard. A question is a comment of its own, since edits notify nobody; it is
found again by a mark, so that a killed process repeats none.
"""

import uuid
from dataclasses import dataclass
from typing import Any

from psycopg import Connection
from psycopg.rows import TupleRow, dict_row

from assets.platform import Platform
from assets.results.forges import NoToken, open_forge_for
from assets.results.publish import MAX_TRIES, TRY_SECONDS, OpenForge, pause_after
from assets.results.trackers import NoTracker, shows_reports, split_place
from assets.shared.markdown import cell
from core import tasks
from core.access.audit import Actor, record
from core.database import Database
from core.eventlog.postgres import PostgresLog
from core.forge.hosted import HostedForge
from core.forge.protocol import ForgeUnavailable, PublicationRefused
from core.forge.tracker import TrackerForge
from core.questions import KEPT, go_on
from core.states import AnswerState
from core.tickets import Service

_ASKED = "t.state = 'waiting' AND t.attempt = q.attempt AND t.ticket_key IS NOT NULL"
_TAKE_QUESTION = f"""
WITH due AS (
    SELECT q.task_id, q.attempt FROM questions q JOIN tasks t ON t.id = q.task_id
    WHERE q.state = 'pending' AND q.next_try_at <= now() AND {_ASKED} AND (%(task)s::uuid IS NULL OR t.id = %(task)s)
    ORDER BY q.next_try_at LIMIT 1 FOR UPDATE OF q SKIP LOCKED
)
UPDATE questions q SET tries = q.tries + 1, next_try_at = now() + %(seconds)s * interval '1 second'
FROM due, tasks t WHERE (q.task_id, q.attempt) = (due.task_id, due.attempt) AND t.id = q.task_id
RETURNING q.*, t.source, t.ticket_service, t.ticket_service || ':' || t.ticket_project AS place, t.ticket_key
"""  # noqa: S608  constants
_TAKE_ANSWER = """
WITH due AS (
    SELECT id FROM answers WHERE state = 'pending' AND next_try_at <= now()
    ORDER BY received_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
)
UPDATE answers a SET tries = a.tries + 1, next_try_at = now() + %s * interval '1 second'
FROM due, tasks t WHERE a.id = due.id AND t.id = a.task_id
RETURNING a.*, t.source, t.ticket_service || ':' || t.ticket_project AS place, t.ticket_key
"""
_DUE = f"""
SELECT (SELECT count(*) FROM questions q JOIN tasks t ON t.id = q.task_id
        WHERE q.state = 'pending' AND q.next_try_at < now() AND {_ASKED})
    + (SELECT count(*) FROM answers WHERE state = 'pending' AND next_try_at < now())
"""  # noqa: S608  constants


@dataclass(frozen=True)
class Asked:
    """A question after a try: where it is, or why it is not."""

    task_id: uuid.UUID
    location: str | None
    error: str | None


@dataclass(frozen=True)
class Heard:
    """A comment after a try: `outcome` says what it does, or why nothing (yet)."""

    id: uuid.UUID
    state: AnswerState
    outcome: str


def days_to_wait(platform: Platform, task: tasks.Task, target: str) -> float:
    """How many days a task may wait for an answer; 0 if nobody can be asked. `target` is where its results go. People
    are asked at its ticket; who has sent it to Penstock's API sees the question there. Nobody has asked for a task
    about failed checks."""
    settings = platform.settings
    if task.ticket_key is None:
        return 0.0 if task.event_id.startswith("checks:") else settings.question_days
    place = f"{task.ticket_service}:{task.ticket_project}"
    reached = shows_reports(platform, task, place) if split_place(place) else target == place and _opens(platform, task)
    return settings.question_days if reached and settings.publishing else 0.0


def _opens(platform: Platform, task: tasks.Task) -> bool:
    """Whether comments on a source's issues can be written. A forge that is away is tried again later."""
    try:
        return isinstance(open_forge_for(platform, task.team_id, task.source), HostedForge)
    except (NoToken, PublicationRefused):
        return False
    except ForgeUnavailable:
        return True


def count_due(connection: Connection[TupleRow]) -> int:
    """How many questions and comments `ask_due` and `hear_due` would deal with now, of all teams."""
    row = connection.execute(_DUE.encode()).fetchone()
    return int(row[0]) if row else 0


def ask_due(
    database: Database, open_forge: OpenForge, *, task_id: uuid.UUID | None = None, limit: int = 50
) -> list[Asked]:
    """Writes each question that is due, at most `limit`, only that of `task_id` if given. Raises nothing for a forge
    that refuses or is unavailable."""
    done: list[Asked] = []
    for _ in range(limit):
        with database.system() as connection, connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(_TAKE_QUESTION.encode(), {"task": task_id, "seconds": TRY_SECONDS}).fetchone()
        if row is None:
            break
        done.append(_ask(database, open_forge, row))
    return done


def _ask(database: Database, open_forge: OpenForge, row: dict[str, Any]) -> Asked:
    location, error, pause, state = None, None, 0.0, "asked"
    try:
        forge = open_forge(row["team_id"], row["source"], row["place"])
        if not isinstance(forge, HostedForge | TrackerForge) or forge.target != row["place"]:
            raise PublicationRefused(f"comments are not written at {row['place']}")
        location = forge.ask(row["ticket_key"], row["task_id"], row["attempt"], question_text(row))
    except PublicationRefused as refusal:
        state, error = "dead-lettered", str(refusal)
    except (ForgeUnavailable, OSError) as trouble:
        error, pause = str(trouble), pause_after(row["tries"], trouble)
        state = "dead-lettered" if row["tries"] >= MAX_TRIES else "pending"
    with database.system() as connection:
        connection.execute(
            "UPDATE questions SET state = %s, location = coalesce(%s, location), last_error = %s, "
            "next_try_at = now() + %s * interval '1 second' WHERE (task_id, attempt) = (%s, %s) AND state = 'pending'",
            (state, location, error, pause, row["task_id"], row["attempt"]),
        )
    return Asked(row["task_id"], location, error)


def question_text(row: dict[str, Any]) -> str:
    """A question as a comment, in Markdown. `row` has `question`, `until`, `task_id`, `attempt`, `ticket_service`."""
    where = "mention the app in this thread, with the answer" if row["ticket_service"] == Service.SLACK else (
        "write it in a comment here"
    )  # fmt: skip
    return (
        f"Penstock has a question. {cell(row['question'])}\n\n"
        f"Nothing was changed, since no test fails because of this issue. To answer, {where}: what is said, quotations "
        f"aside, becomes part of the issue's text, and Penstock tries again. Only people who may start work here are "
        f"heard. After {row['until']:%Y-%m-%d %H:%M} UTC the task ends without a result.\n\n"
        f"`/penstock retry` tries again without an answer, for example once a failing test is there; "
        f"`/penstock explain` shows what was tried; `/penstock stop` ends the work.\n\n"
        f"Task `{row['task_id']}`, attempt {row['attempt']}."
    )


def hear_due(
    database: Database, log: PostgresLog, open_forge: OpenForge, *, anyone: bool = False, limit: int = 50
) -> list[Heard]:
    """Tries each comment that may be an answer once, at most `limit`. With `anyone`, the forge is not asked who may.
    Raises nothing for a forge that refuses or is unavailable."""
    done: list[Heard] = []
    for _ in range(limit):
        with database.system() as connection, connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(_TAKE_ANSWER, (TRY_SECONDS,)).fetchone()
        if row is None:
            break
        done.append(_hear(database, log, open_forge, row, anyone=anyone))
    return done


def _hear(database: Database, log: PostgresLog, open_forge: OpenForge, row: dict[str, Any], *, anyone: bool) -> Heard:
    state, pause = AnswerState.IGNORED, 0.0
    try:
        forge = open_forge(row["team_id"], row["source"], row["place"])
        if not isinstance(forge, HostedForge | TrackerForge) or forge.target != row["place"]:
            outcome = f"comments are not read at {row['place']}"
        elif not anyone and not forge.may_write(row["author"], row["author_id"], row["ticket_key"]):
            outcome = f"{row['author']} may not start work at {row['place']}"
        else:
            return _accept(database, log, row)
    except NoTracker as refusal:
        outcome = str(refusal)
    except PublicationRefused as refusal:
        state, outcome = AnswerState.DEAD_LETTERED, str(refusal)
    except (ForgeUnavailable, OSError) as trouble:
        outcome, pause = str(trouble), pause_after(row["tries"], trouble)
        state = AnswerState.DEAD_LETTERED if row["tries"] >= MAX_TRIES else AnswerState.PENDING
    with database.system() as connection:
        _set(connection, row, state, outcome, pause)
    return Heard(row["id"], state, outcome)


def _accept(database: Database, log: PostgresLog, row: dict[str, Any]) -> Heard:
    """Makes a comment an answer or a remark, and lets a waiting task go on, in one transaction."""
    with database.team(row["team_id"]) as connection:
        task = tasks.get_task(connection, row["task_id"], lock=True)
        if task.closed:
            state, outcome = AnswerState.IGNORED, f"the task is {task.state}"
            _set(connection, row, state, outcome)
            return Heard(row["id"], state, outcome)
        state, outcome = AnswerState.ACCEPTED, KEPT
        if not _set(connection, row, state, outcome):
            return Heard(row["id"], state, "another process has decided")
        now = go_on(connection, log, task, (row["author"], row["author_id"]))
        actor = Actor("forge", row["author"], row["author_id"])
        record(connection, row["team_id"], actor, "task.answer", row["task_id"])
    return Heard(row["id"], state, f"task {now.id} is {now.state} at attempt {now.attempt}")


def _set(
    connection: Connection[TupleRow], row: dict[str, Any], state: AnswerState, outcome: str, pause: float = 0.0
) -> bool:
    """Decides about a comment that is pending; returns whether it was. What is ignored is not kept."""
    return bool(
        connection.execute(
            "UPDATE answers SET state = %(state)s, outcome = %(outcome)s, "
            "body = CASE WHEN %(state)s = 'ignored' THEN '' ELSE body END, "
            "next_try_at = now() + %(pause)s * interval '1 second' WHERE id = %(id)s AND state = 'pending'",
            {"state": state, "outcome": outcome[:1000], "pause": pause, "id": row["id"]},
        ).rowcount
    )
