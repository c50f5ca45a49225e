"""Heads of branches whose checks have failed, where a rule (`failed:BRANCH`) says that such a failure starts a task.

What was reported is only noted here; `assets.results.watched_checks` asks the forge and decides.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row

from core.states import WatchState


@dataclass(frozen=True)
class Head:
    """A commit at the head of a branch, in the repository (`service`, `project`) of a source."""

    source: str
    service: str
    project: str
    branch: str
    head: str


@dataclass(frozen=True)
class Watched(Head):
    """A head that was reported, and what became of it. `failed` are the checks that its task is about."""

    rule: str
    state: WatchState
    reason: str | None
    failed: list[str]
    task_id: uuid.UUID | None
    received_at: datetime


_NOTE = """
INSERT INTO watched_checks AS held (team_id, source, service, project, branch, head, rule)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (team_id, source, branch, head) DO UPDATE
SET state = 'pending', rule = excluded.rule, reason = NULL, decided_at = NULL, tries = 0, next_try_at = now(),
    received_at = now()
WHERE held.state IN ('ignored', 'superseded', 'dead-lettered')
"""


def note_failure(connection: Connection[Any], team_id: uuid.UUID, head: Head, rule: str) -> None:
    """Notes that checks of a head have failed. A repeat changes nothing while it waits to be looked at, and once it has
    started a task; otherwise it is looked at again, since another check may have failed by now."""
    connection.execute(_NOTE, (team_id, head.source, head.service, head.project, head.branch, head.head, rule[:600]))


def is_noted(connection: Connection[Any], head: Head) -> bool:
    """Whether this head was reported before, to the connection's team."""
    row = connection.execute(
        "SELECT FROM watched_checks WHERE (source, branch, head) = (%s, %s, %s)", (head.source, head.branch, head.head)
    ).fetchone()
    return row is not None


def unjudged(connection: Connection[Any], source: str, branch: str, commits: Sequence[str]) -> set[str]:
    """Those of the commits that were reported as heads and not compared with what was before them, since another commit
    came after them first, or are yet to be."""
    rows = connection.execute(
        "SELECT head FROM watched_checks WHERE (source, branch) = (%s, %s) AND head = ANY(%s) "
        "AND state IN ('superseded', 'pending')",
        (source, branch, list(commits)),
    ).fetchall()
    return {str(row[0]) for row in rows}


def list_watched(
    connection: Connection[Any], *, days: float, source: str | None = None, limit: int = 200
) -> list[Watched]:
    """The heads that were reported within so many days to the connection's team, the newest first."""
    with connection.cursor(row_factory=class_row(Watched)) as cursor:
        return cursor.execute(
            "SELECT source, service, project, branch, head, rule, state, reason, failed, task_id, received_at "
            "FROM watched_checks WHERE (%(source)s::text IS NULL OR source = %(source)s) "
            "AND received_at > now() - %(days)s * interval '1 day' ORDER BY received_at DESC, id LIMIT %(limit)s",
            {"source": source, "days": days, "limit": limit},
        ).fetchall()
