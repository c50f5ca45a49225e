"""Deletes what ended tasks need no more: trajectories, records of requests to models, and work folders of killed runs.

Each deletion is a sequence of small transactions that can be killed and repeated. Never deleted: tasks, deliveries,
events' outcomes, plans, verdicts, patches, publications and the audit log.
"""

import re
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from psycopg import Connection
from psycopg.rows import TupleRow

from core.database import Database
from core.states import OPEN_TASK_STATES, PublicationState

BATCH = 2000
"""Rows of one transaction."""
MOST_BATCHES = 5000

_OPEN_PUBLICATIONS = [PublicationState.PENDING, PublicationState.HELD]
_FOLDER = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-(\d{1,9})-\d{1,18}")

# A task is left alone while anything of it is open: itself, an attempt, a publication, a published patch whose review
# may start another attempt, or a remark of a review that is not answered.
_ENDED = """
SELECT t.id FROM tasks t
WHERE t.state <> ALL(%(open)s) AND t.updated_at < %(before)s
  AND NOT EXISTS (SELECT FROM attempts a WHERE a.task_id = t.id AND (a.lease_until > now()
      OR a.ended_at >= %(before)s))
  AND NOT EXISTS (SELECT FROM publications p WHERE p.task_id = t.id
      AND (p.state = ANY(%(waiting)s) OR p.updated_at >= %(before)s))
  AND NOT EXISTS (SELECT FROM fates f WHERE f.task_id = t.id AND f.fate = 'open')
  AND NOT EXISTS (SELECT FROM feedback b WHERE b.task_id = t.id AND b.state IN ('pending', 'taken', 'decided'))
"""


@dataclass(frozen=True)
class Found:
    """What would go: the number of things, and the time of the oldest one."""

    count: int
    oldest: datetime | None


def old_trajectories(connection: Connection[TupleRow], before: datetime) -> Found:
    """Entries of trajectories of tasks that have ended before `before`, of every team."""
    return _found(
        connection,
        f"SELECT count(*), min(at) FROM trajectory WHERE at < %(before)s AND task_id IN ({_ENDED})",  # noqa: S608
        _given(before),
    )


def delete_trajectories(database: Database, before: datetime) -> int:
    """Deletes them and returns how many there were."""
    statement = (
        "DELETE FROM trajectory WHERE ctid = ANY(ARRAY("  # noqa: S608
        "SELECT ctid FROM trajectory WHERE at < %(before)s "
        f"AND task_id IN ({_ENDED}) LIMIT %(batch)s))"
    )
    return _in_batches(database, statement, _given(before))


def old_model_requests(connection: Connection[TupleRow], before: datetime) -> Found:
    return _found(connection, "SELECT count(*), min(at) FROM model_requests WHERE at < %(before)s", {"before": before})


def delete_model_requests(database: Database, before: datetime) -> int:
    statement = (
        "DELETE FROM model_requests WHERE ctid = ANY(ARRAY(SELECT ctid FROM model_requests "
        "WHERE at < %(before)s LIMIT %(batch)s))"
    )
    return _in_batches(database, statement, {"before": before})


def old_folders(connection: Connection[TupleRow], root: Path, before: datetime) -> list[tuple[Path, datetime]]:
    """Folders of attempts in `root` that nothing has changed since `before` and no run holds. Names that are not those
    of attempts are left alone."""
    candidates = list(_folders(root, before))
    held = {
        (task, attempt)
        for task, attempt in connection.execute(
            "SELECT task_id, attempt FROM attempts WHERE lease_until > now() AND task_id = ANY(%s)",
            ([task for task, _, _, _ in candidates],),
        )
    }
    return [(path, at) for task, attempt, path, at in candidates if (task, attempt) not in held]


def delete_folders(database: Database, root: Path, before: datetime) -> int:
    """Deletes them and returns how many are gone."""
    with database.system() as connection:
        found = old_folders(connection, root, before)
    for path, _ in found:
        shutil.rmtree(path, ignore_errors=True)
    return sum(not path.exists() for path, _ in found)


def _folders(root: Path, before: datetime) -> Iterator[tuple[uuid.UUID, int, Path, datetime]]:
    for path in sorted(root.iterdir()) if root.is_dir() else ():
        match = _FOLDER.fullmatch(path.name)
        if match is None or path.is_symlink() or not path.is_dir():
            continue
        at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        if at < before:
            yield uuid.UUID(match[1]), int(match[2]), path, at


def _given(before: datetime) -> dict[str, object]:
    return {"before": before, "open": sorted(OPEN_TASK_STATES), "waiting": _OPEN_PUBLICATIONS}


def _found(connection: Connection[TupleRow], statement: str, given: dict[str, object]) -> Found:
    row = connection.execute(statement.encode(), given).fetchone()
    return Found(int(row[0]), row[1]) if row else Found(0, None)


def _in_batches(database: Database, statement: str, given: dict[str, object]) -> int:
    deleted = 0
    for _ in range(MOST_BATCHES):
        with database.system() as connection:
            gone = connection.execute(statement.encode(), {**given, "batch": BATCH}).rowcount
        deleted += gone
        if gone < BATCH:
            break
    return deleted
