"""Follows published patches: merged as they were, merged with changes, reverted, closed without a merge, or open.

A merge is found by comparing histories (`core.git.fates`), so it works for every forge whose repository is mirrored.
That a pull request was closed is known from its ticket. Repeats are harmless: a row changes only when the fate does.
"""

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from psycopg import Connection
from psycopg.rows import TupleRow, dict_row

from core.database import Database
from core.git import GitError, Repository
from core.git.fates import Fate, Found, fate_of

AT_ONCE = 500
"""The most patches that one call looks at."""
FOLLOWED_DAYS = 180
"""A patch is followed for this time after its publication."""

_DUE = """
SELECT p.team_id, p.task_id, p.attempt, p.target, p.body ->> 'source' AS source, x.base_commit, x.diff, f.fate, f.head,
    EXISTS (SELECT FROM tickets t WHERE t.team_id = p.team_id AND t.source = p.body ->> 'source' AND t.url = p.location
            AND t.kind = 'pull request' AND t.state = 'open') AS is_open
FROM publications p
JOIN patches x ON (x.team_id, x.sha256) = (p.team_id, p.patch_sha256)
LEFT JOIN fates f ON (f.task_id, f.attempt, f.target) = (p.task_id, p.attempt, p.target)
WHERE p.state = 'published' AND p.updated_at > now() - %(days)s * interval '1 day'
ORDER BY p.updated_at DESC LIMIT %(limit)s
"""
_NOTE = """
INSERT INTO fates (team_id, task_id, attempt, target, fate, commit, head)
VALUES (%(team_id)s, %(task_id)s, %(attempt)s, %(target)s, %(fate)s, %(commit)s, %(head)s)
ON CONFLICT (task_id, attempt, target) DO UPDATE SET fate = excluded.fate, commit = excluded.commit,
    head = excluded.head, changed_at = CASE WHEN fates.fate = excluded.fate THEN fates.changed_at ELSE now() END
"""

_CLOSED = """
INSERT INTO fates (team_id, task_id, attempt, target, fate, head)
SELECT p.team_id, p.task_id, p.attempt, p.target, CASE t.state WHEN 'closed' THEN 'closed' ELSE 'open' END, ''
FROM publications p
JOIN tickets t ON t.team_id = p.team_id AND t.source = p.body ->> 'source' AND t.url = p.location
LEFT JOIN fates f ON (f.task_id, f.attempt, f.target) = (p.task_id, p.attempt, p.target)
WHERE p.state = 'published' AND p.updated_at > now() - %(days)s * interval '1 day' AND t.kind = 'pull request'
    AND ((t.state = 'closed' AND coalesce(f.fate, 'open') = 'open') OR (t.state = 'open' AND f.fate = 'closed'))
ON CONFLICT (task_id, attempt, target) DO UPDATE SET fate = excluded.fate, changed_at = now()
RETURNING task_id, (SELECT body ->> 'source' FROM publications p WHERE (p.task_id, p.attempt, p.target)
                    = (fates.task_id, fates.attempt, fates.target)), fate
"""

_WORK = """
SELECT EXISTS (
    SELECT FROM publications p
    LEFT JOIN fates f ON (f.task_id, f.attempt, f.target) = (p.task_id, p.attempt, p.target)
    LEFT JOIN tickets t ON t.team_id = p.team_id AND t.source = p.body ->> 'source' AND t.url = p.location
        AND t.kind = 'pull request'
    LEFT JOIN source_indexes s ON s.team_id = p.team_id AND s.source = p.body ->> 'source'
    LEFT JOIN index_versions v ON (v.team_id, v.source, v.version) = (s.team_id, s.source, s.version)
    WHERE p.state = 'published' AND p.patch_sha256 IS NOT NULL AND p.updated_at > now() - %(days)s * interval '1 day'
        AND ((t.state IS DISTINCT FROM 'open' AND v.commit IS NOT NULL AND v.commit IS DISTINCT FROM f.head)
            OR (t.state = 'closed' AND coalesce(f.fate, 'open') = 'open') OR (t.state = 'open' AND f.fate = 'closed')))
"""

_log = logging.getLogger(__name__)
OpenMirror = Callable[[uuid.UUID, str], tuple[Repository, str]]
"""The mirror of a team's source, and the commit at the head of its indexed branch. Raises `GitError`."""


@dataclass(frozen=True)
class FateChange:
    """A published patch whose fate is a new one."""

    task_id: uuid.UUID
    source: str
    fate: Fate
    commit: str | None


def anything_to_follow(connection: Connection[TupleRow]) -> bool:
    """Whether `note_fates` could find something new: a source has moved on, or a pull request was closed or opened.
    The connection must have the system role."""
    row = connection.execute(_WORK, {"days": FOLLOWED_DAYS}).fetchone()
    return bool(row and row[0])


def note_fates(database: Database, open_mirror: OpenMirror) -> list[FateChange]:
    """Looks up every published patch whose source has moved on, and stores its fate. A source that cannot be read is
    logged and left for the next time."""
    with database.system() as connection, connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_DUE, {"days": FOLLOWED_DAYS, "limit": AT_ONCE}).fetchall()
    mirrors: dict[tuple[uuid.UUID, str], tuple[Repository, str] | None] = {}
    notes: list[dict[str, Any]] = []
    changed: list[FateChange] = []
    for row in rows:
        key = (row["team_id"], row["source"])
        if key not in mirrors:
            mirrors[key] = _opened(open_mirror, *key)
        if (opened := mirrors[key]) is None or opened[1] == row["head"] or row["is_open"]:
            continue  # of an open pull request, the same change on the branch is somebody else's
        repository, head = opened
        found = _fate(repository, head, row)
        if found is None or (found.fate is Fate.OPEN and row["fate"] == Fate.CLOSED):
            continue
        notes.append({**row, "fate": found.fate, "commit": found.commit, "head": head})
        if found.fate != (row["fate"] or Fate.OPEN):
            changed.append(FateChange(row["task_id"], row["source"], found.fate, found.commit))
    if notes:
        with database.system() as connection, connection.cursor() as writing:
            writing.executemany(_NOTE, notes)
    with database.system() as connection:
        closed = connection.execute(_CLOSED, {"days": FOLLOWED_DAYS}).fetchall()
    return changed + [FateChange(task, source, Fate(fate), None) for task, source, fate in closed]


def _opened(open_mirror: OpenMirror, team: uuid.UUID, source: str) -> tuple[Repository, str] | None:
    try:
        return open_mirror(team, source)
    except (GitError, LookupError, ValueError) as error:
        _log.info("what became of patches for source %s cannot be looked up: %s", source, error)
        return None


def _fate(repository: Repository, head: str, row: dict[str, Any]) -> Found | None:
    marks = (f"Penstock-Task: {row['task_id']}",)
    try:
        return fate_of(repository, base=row["base_commit"], head=head, diff=row["diff"], marks=marks)
    except GitError as error:
        _log.info("what became of the patch of task %s cannot be looked up: %s", row["task_id"], error)
        return None
