"""Carries out the commands that people write in tickets' comments, and answers each with one comment.

Only who may write to the repository at that moment gives commands; those of others are ignored without an answer. What
a command does is idempotent, and its answer is stored before it is written, so a killed process repeats neither.
"""

import uuid
from dataclasses import dataclass
from typing import Any

from psycopg import Connection
from psycopg.rows import TupleRow, dict_row

from assets.results.publish import MAX_TRIES, TRY_SECONDS, OpenForge, pause_after
from assets.results.report import WHERE_IT_LOOKED
from assets.results.trackers import NoTracker
from assets.shared.markdown import cell
from core import tasks
from core.access.audit import Actor, record
from core.approvals import approve
from core.commands import Command, without_commands
from core.database import Database
from core.eventlog.postgres import PostgresLog
from core.forge.hosted import HostedForge
from core.forge.protocol import ForgeUnavailable, PublicationRefused
from core.forge.tracker import TrackerForge
from core.states import CommandState, TaskState
from core.tickets import Service

HELP = """Penstock does what people who may write to this repository, or may work on this ticket, say in a comment, on a
line of its own:

| command | effect |
|---|---|
| `/penstock start` | works on this issue, where a rule lets comments start work |
| `/penstock retry` | works on this issue again, after an attempt without a result or with a question |
| `/penstock retry`, on a pull request | works on what else the comment says, and adds it to the branch |
| `/penstock explain` | shows what was tried and why it ended so |
| `/penstock stop` | stops the work on this issue |
| `/penstock approve` | publishes a patch that waits for approval |
| `/penstock help` | shows this list |"""

_TAKE = """
WITH due AS (
    SELECT id FROM commands WHERE state = 'pending' AND next_try_at <= now()
    ORDER BY received_at LIMIT 1 FOR UPDATE SKIP LOCKED
)
UPDATE commands c SET tries = c.tries + 1, next_try_at = now() + %s * interval '1 second'
FROM due WHERE c.id = due.id RETURNING c.*
"""
# The task of the issue, or the one whose pull request this is; of several, one that the command can be about, since
# anybody's event may have made another one that was cancelled at once.
_TASK = """
SELECT id FROM tasks t WHERE source = %(source)s AND (
    (ticket_service, ticket_project, ticket_key) = (%(ticket_service)s, %(ticket_project)s, %(ticket_key)s)
    OR EXISTS (SELECT FROM publications p WHERE p.task_id = t.id
               AND p.location = split_part(%(comment_url)s::text, '#', 1)))
ORDER BY CASE %(command)s
    WHEN 'approve' THEN EXISTS (SELECT FROM publications p WHERE p.task_id = t.id AND p.state = 'held')
    WHEN 'stop' THEN t.state IN ('queued', 'running', 'waiting')
    WHEN 'explain' THEN t.state <> 'cancelled'
    ELSE true END DESC, created_at DESC LIMIT 1
"""
# The branch of the pull request that a comment is on, if that is the task's.
_PULL = """
SELECT coalesce(f.branch, 'penstock/' || p.task_id || CASE WHEN p.attempt > 1 THEN '-' || p.attempt ELSE '' END)
FROM publications p JOIN tasks t ON t.id = p.task_id
LEFT JOIN follow_ups f ON (f.task_id, f.attempt) = (p.task_id, p.attempt)
WHERE p.task_id = %s AND t.state = 'resolved' AND p.state = 'published' AND p.patch_sha256 IS NOT NULL
    AND p.location = split_part(%s::text, '#', 1)
ORDER BY p.attempt LIMIT 1
"""


START_TRIES = 3
"""After this many tries, a minute later, a start without a task is answered."""


@dataclass(frozen=True)
class Obeyed:
    """A command after a try: `outcome` says what was done, or why not (yet)."""

    id: uuid.UUID
    command: str
    state: CommandState
    outcome: str


def obey_due(database: Database, log: PostgresLog, open_forge: OpenForge, *, limit: int = 50) -> list[Obeyed]:
    """Tries each due command once, at most `limit`. Raises nothing for a forge that refuses or is unavailable."""
    done: list[Obeyed] = []
    for _ in range(limit):
        with database.system() as connection, connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(_TAKE, (TRY_SECONDS,)).fetchone()
        if row is None:
            break
        done.append(_try(database, log, open_forge, row))
    return done


def _try(database: Database, log: PostgresLog, open_forge: OpenForge, row: dict[str, Any]) -> Obeyed:
    state, outcome, answer, pause = CommandState.PENDING, "", None, 0.0
    try:
        place = f"{row['ticket_service']}:{row['ticket_project']}"
        forge = open_forge(row["team_id"], row["source"], place)
        if not isinstance(forge, HostedForge | TrackerForge) or forge.target != place:
            state, outcome = CommandState.IGNORED, f"results of its source are not published at {place}"
        elif not forge.may_write(row["author"], row["author_id"], row["ticket_key"]):
            state, outcome = CommandState.IGNORED, f"{row['author']} may not write to {place}"
        else:
            said = row["outcome"] or _done(database, log, row)
            answer = forge.answer(row["ticket_key"], row["id"], said)
            state, outcome = CommandState.DONE, said
    except NoTracker as refusal:
        state, outcome = CommandState.IGNORED, str(refusal)
    except PublicationRefused as refusal:
        state, outcome = CommandState.DEAD_LETTERED, str(refusal)
    except (ForgeUnavailable, OSError) as trouble:
        outcome = str(trouble)
        pause = pause_after(row["tries"], trouble)
        state = CommandState.DEAD_LETTERED if row["tries"] >= MAX_TRIES else CommandState.PENDING
    with database.system() as connection:
        connection.execute(
            "UPDATE commands SET state = %(state)s, answer = coalesce(%(answer)s, answer), "
            "outcome = CASE WHEN %(state)s = 'pending' THEN outcome ELSE %(outcome)s END, "
            "next_try_at = now() + %(pause)s * interval '1 second' WHERE id = %(id)s AND state = 'pending'",
            {"state": state, "answer": answer, "outcome": outcome, "pause": pause, "id": row["id"]},
        )
    return Obeyed(row["id"], row["command"], state, outcome)


def _done(database: Database, log: PostgresLog, row: dict[str, Any]) -> str:
    """Carries out the command, and stores what to answer in the same transaction."""
    with database.team(row["team_id"]) as connection:
        held = connection.execute("SELECT outcome FROM commands WHERE id = %s FOR UPDATE", (row["id"],)).fetchone()
        if held is not None and held[0]:
            return str(held[0])
        said = _carry_out(connection, log, row)
        connection.execute("UPDATE commands SET outcome = %s WHERE id = %s", (said, row["id"]))
    return said


def _carry_out(connection: Connection[TupleRow], log: PostgresLog, row: dict[str, Any]) -> str:
    command = Command(row["command"])
    if command is Command.HELP:
        return HELP
    found = connection.execute(_TASK, row).fetchone()
    if found is None and command is Command.START:
        return _not_started(row)
    if found is None:
        return "Penstock has no task for this issue: nothing has happened to it that its rules start one for."
    identity: uuid.UUID = found[0]
    if command is Command.START:
        task = tasks.get_task(connection, identity, lock=True)
        if task.state == TaskState.QUEUED:  # if somebody else has asked for it, this person vouches for it now
            connection.execute(
                "UPDATE tasks SET starter = %s, starter_id = %s WHERE id = %s AND NOT trusted",
                (row["author"], row["author_id"], identity),
            )
        if not task.closed or task.created_at >= row["received_at"]:  # the same comment may have made it
            return f"Task `{task.id}` is {task.state}."
        command = Command.RETRY
    try:
        if command is Command.STOP:
            stopped = tasks.cancel(connection, log, identity, f"stopped by {row['author']}")
            _record(connection, row, "task.cancel", identity)
            return f"Stopped. Task `{stopped.id}`."
        if command is Command.RETRY and (pull := connection.execute(_PULL, (identity, row["comment_url"])).fetchone()):
            return _ask(connection, row, identity, pull[0])
        if command is Command.RETRY:
            again = tasks.retry(connection, log, identity, (row["author"], row["author_id"]))
            _record(connection, row, "task.retry", identity)
            return f"Queued attempt {again.attempt} of task `{again.id}`."
        if command is Command.APPROVE:
            approve(connection, identity, row["author"])
            _record(connection, row, "task.approve", identity)
            return f"Approved: the patch of task `{identity}` is about to be published."
    except tasks.IllegalMove as refusal:
        said = cell(str(refusal))
        return f"{said[:1].upper()}{said[1:]}."
    return _explained(connection, identity)


def _not_started(row: dict[str, Any]) -> str:
    """The answer to a start that nothing has followed. A sweep may start the task that a webhook knows too little for,
    so the first tries raise `ForgeUnavailable`."""
    if row["ticket_service"] == Service.SLACK:
        return "Nothing was asked for in this thread: mention the app with what should be done."
    if row["tries"] <= START_TRIES:
        raise ForgeUnavailable("nothing has started work on this issue yet")
    return "Nothing has started work on this issue: its operators can let comments do so by the rule `command`."


def _record(connection: Connection[TupleRow], row: dict[str, Any], action: str, task: uuid.UUID) -> None:
    """Adds what a command has done to the audit log."""
    record(connection, row["team_id"], Actor("forge", row["author"], row["author_id"]), action, task)


def _ask(connection: Connection[TupleRow], row: dict[str, Any], task: uuid.UUID, branch: str) -> str:
    """Takes what a comment on a pull request says as a remark, as in a review."""
    said = without_commands(row["body"] or "")
    if not said:
        return (
            "What should be different? Say it in the same comment as `/penstock retry`, or in a review of the changed "
            "lines."
        )
    connection.execute(
        "INSERT INTO feedback (team_id, id, kind, task_id, source, ticket_service, ticket_project, ticket_key, branch, "
        "author, author_id, body, url) VALUES (%s, %s, 'remark', %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) "
        "ON CONFLICT DO NOTHING",
        (
            *(row["team_id"], row["id"], task, row["source"]),
            *(row["ticket_service"], row["ticket_project"], row["ticket_key"], branch),
            *(row["author"], row["author_id"], said, row["comment_url"]),
        ),
    )
    return "Penstock works on it at this pull request, and answers when it is done."


def _explained(connection: Connection[TupleRow], identity: uuid.UUID) -> str:
    task = tasks.get_task(connection, identity)
    report = connection.execute(
        "SELECT coalesce("
        "(SELECT body ->> 'report' FROM publications WHERE task_id = %(task)s AND attempt = %(attempt)s "
        "ORDER BY target LIMIT 1), "
        "(SELECT ending -> 'publication' ->> 'report' FROM questions "
        "WHERE task_id = %(task)s AND attempt = %(attempt)s))",
        {"task": identity, "attempt": task.attempt},
    ).fetchone()
    if report is not None and report[0]:
        return str(report[0]).split(WHERE_IT_LOOKED)[0]  # the rest is about how places were found
    return f"Task `{task.id}`, attempt {task.attempt}, is {task.state}. Its operators see more."
