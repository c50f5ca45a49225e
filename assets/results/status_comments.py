"""Keeps one comment on a task's ticket that says how the task stands, edited in place.

Triggers count the changes that it should show (`status_comments.wanted`), whichever process makes them, also while one
writes it (`busy_until`). Edits notify nobody; a report is a comment of its own, so this one is not begun for it.
"""

import uuid
from dataclasses import dataclass
from typing import Any

from psycopg.rows import dict_row

from assets.results.publish import MAX_TRIES, TRY_SECONDS, OpenForge, pause_after
from assets.results.trackers import show_progress
from assets.shared.markdown import cell
from core.database import Database
from core.forge.hosted import HostedForge
from core.forge.protocol import ForgeUnavailable, PublicationRefused
from core.forge.tracker import Action, TrackerForge
from core.git.fates import Fate
from core.states import CLOSED_TASK_STATES, PublicationState, TaskState
from core.ticket_statuses import TicketStatus

_TAKE = """
WITH due AS (
    SELECT task_id FROM status_comments
    WHERE written < wanted AND next_try_at <= now() AND busy_until <= now() AND tries < %(most)s
        AND (%(task)s::uuid IS NULL OR task_id = %(task)s)
    ORDER BY next_try_at LIMIT 1 FOR UPDATE SKIP LOCKED
)
UPDATE status_comments c SET tries = c.tries + 1, busy_until = now() + %(seconds)s * interval '1 second'
FROM due, tasks t
WHERE c.task_id = due.task_id AND t.id = c.task_id
RETURNING c.team_id, c.task_id, c.wanted, c.tries, t.source, t.state, t.reason, t.attempt, t.ticket_key,
    t.ticket_service || ':' || t.ticket_project AS place,
    (SELECT to_jsonb(p) || jsonb_build_object('headline', p.body ->> 'headline', 'fate', f.fate) - 'body'
     FROM publications p LEFT JOIN fates f USING (task_id, attempt, target)
     WHERE p.task_id = t.id AND (p.attempt = t.attempt OR EXISTS (
        SELECT FROM follow_ups u WHERE (u.task_id, u.attempt) = (t.id, t.attempt)))
     ORDER BY p.patch_sha256 IS NULL, p.state = 'held' DESC, p.state = 'published' DESC, p.attempt DESC, p.target
     LIMIT 1) AS publication,
    (SELECT url FROM follow_ups u WHERE (u.task_id, u.attempt) = (t.id, t.attempt)) AS pull
"""
_WRITTEN = """
UPDATE status_comments SET written = greatest(written, %(wanted)s), location = coalesce(%(location)s, location),
    last_error = %(error)s, tries = 0, updated_at = now(), busy_until = '-infinity'
WHERE task_id = %(task)s
"""
_FAILED = """
UPDATE status_comments SET last_error = %(error)s, updated_at = now(), busy_until = '-infinity',
    next_try_at = now() + %(pause)s * interval '1 second'
WHERE task_id = %(task)s
"""


@dataclass(frozen=True)
class Written:
    """A status comment after a try: where it is, or why it is not."""

    task_id: uuid.UUID
    location: str | None
    error: str | None


def write_due_comments(
    database: Database,
    open_forge: OpenForge,
    *,
    task_id: uuid.UUID | None = None,
    limit: int = 50,
    statuses: tuple[TicketStatus, ...] = (),
) -> list[Written]:
    """Writes each status comment that is due, at most `limit`, only that of `task_id` if given. A tracker's ticket gets
    its one of `statuses` with it. Raises nothing for a forge that refuses or is unavailable."""
    done: list[Written] = []
    for _ in range(limit):
        with database.system() as connection, connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(_TAKE, {"task": task_id, "seconds": TRY_SECONDS, "most": MAX_TRIES}).fetchone()
        if row is None:
            break
        done.append(_try(database, open_forge, statuses, row))
    return done


def _try(database: Database, open_forge: OpenForge, statuses: tuple[TicketStatus, ...], row: dict[str, Any]) -> Written:
    location = error = None
    pause: float | None = None
    try:
        forge = open_forge(row["team_id"], row["source"], row["place"])
        ticket, task, text, create = row["ticket_key"], row["task_id"], status_text(row), _is_news(row)
        if isinstance(forge, HostedForge):
            location = forge.note(ticket, task, text, create=create)
        elif isinstance(forge, TrackerForge):
            location = forge.note(ticket, task, text, create=create, actions=_actions(row))
            show_progress(database, forge, row, statuses)
    except PublicationRefused as refusal:
        error = str(refusal)  # for good
    except (ForgeUnavailable, OSError) as trouble:
        error = str(trouble)
        pause = pause_after(row["tries"], trouble)
    with database.system() as connection:
        if pause is None:
            connection.execute(
                _WRITTEN, {"task": row["task_id"], "wanted": row["wanted"], "location": location, "error": error}
            )
        else:
            connection.execute(_FAILED, {"task": row["task_id"], "error": error, "pause": pause})
    return Written(row["task_id"], location, error)


def _actions(row: dict[str, Any]) -> tuple[Action, ...]:
    """What a person can do about a task as it stands."""
    publication = row["publication"]
    if row["state"] not in CLOSED_TASK_STATES:
        return (Action("stop", "Stop"),)
    if publication is not None and publication["state"] == PublicationState.HELD:
        return (Action("approve", "Approve"), Action("explain", "Explain"))
    return ()


def _is_news(row: dict[str, Any]) -> bool:
    """Whether a comment is begun for this. A queued task promises nothing yet, since its author may not start work; a
    question, and a report without a patch, are or are about to be comments of their own."""
    publication = row["publication"]
    reported = row["state"] == TaskState.UNRESOLVED and publication is not None and publication["patch_sha256"] is None
    return not reported and row["state"] not in (TaskState.QUEUED, TaskState.WAITING)


def status_text(row: dict[str, Any]) -> str:
    """How a task stands, in Markdown. `row` has the task's `state`, `reason`, `attempt` and `task_id`, its
    `publication`: `state`, `location`, `last_error`, `patch_sha256`, `headline` and `fate`, or None, and `pull`, the
    pull request that its attempt adds to."""
    lines = [_sentence(row), "", f"Task `{row['task_id']}`, attempt {row['attempt']}."]
    return "\n".join(lines)


def _sentence(row: dict[str, Any]) -> str:
    state, publication = row["state"], row["publication"]
    if row["pull"]:
        if state not in CLOSED_TASK_STATES:
            return f"Penstock is working on a follow-up to its patch: {row['pull']}"
        if publication is not None:
            return _published(publication)
    if state == TaskState.QUEUED:
        return "Penstock has queued this issue."
    if state == TaskState.RUNNING:
        return "Penstock is working on this issue."
    if state == TaskState.WAITING:
        return "Penstock has a question about this issue and waits for an answer, in a comment here."
    if state == TaskState.CANCELLED:
        return f"Penstock's work on this issue was stopped: {cell(row['reason'] or 'cancelled')}"
    if state == TaskState.FAILED:
        return "Penstock could not work on this issue; its operators see why."  # reasons name things of their machine
    if publication is None:
        return "Penstock has ended its work on this issue."
    if publication["patch_sha256"] is None:
        return _with_headline("Penstock has not resolved this issue.", publication)
    return _with_headline(_published(publication), publication)


def _with_headline(sentence: str, publication: dict[str, Any]) -> str:
    return f"{sentence}\n\n{publication['headline']}" if publication["headline"] else sentence


def _published(publication: dict[str, Any]) -> str:
    state = publication["state"]
    if state == PublicationState.PUBLISHED and (fate := publication["fate"]) not in (None, Fate.OPEN):
        return f"Penstock's patch was {fate}: {publication['location']}"
    if state == PublicationState.PUBLISHED:
        return f"Penstock proposes a patch: {publication['location']}"
    if state == PublicationState.HELD:
        return (
            f"Penstock has a patch, which waits for approval ({cell(publication['last_error'] or '')}): "
            "`/penstock approve` in a comment publishes it."
        )
    if state == PublicationState.PENDING:
        return "Penstock has a patch and is about to publish it."
    return "Penstock has a patch, but could not publish it; its operators see why."
