"""Records the outcome of each refresh of a source, and which announced changes it indexed.

`core.health.freshness` reads the records. They do not affect what is indexed.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.rows import TupleRow

from core.git import redact

_LONGEST_ERROR = 1000

_COVERED = "SELECT covered_until FROM source_refreshes WHERE team_id = %(team)s AND source = %(source)s"
_WAITING = """
SELECT min(appended_at), max(appended_at) FROM event_log
WHERE topic = 'penstock.changes' AND team_id = %(team)s AND body ->> 'subject' = %(source)s
  AND body ->> 'type' <> 'penstock.ticket.changed'
  AND appended_at > coalesce(%(covered)s, '-infinity'::timestamptz)
"""
_SUCCEEDED = """
INSERT INTO source_refreshes (team_id, source, covered_until, tried_at) VALUES (%(team)s, %(source)s, %(until)s, now())
ON CONFLICT (team_id, source) DO UPDATE SET tried_at = now(), failed_at = NULL, failures = 0, error = NULL,
    covered_until = greatest(source_refreshes.covered_until, excluded.covered_until)
"""
_FAILED = """
INSERT INTO source_refreshes (team_id, source, tried_at, failed_at, failures, error)
SELECT %(team)s, %(source)s, now(), now(), 1, %(error)s
WHERE EXISTS (SELECT FROM sources WHERE team_id = %(team)s AND name = %(source)s)
ON CONFLICT (team_id, source) DO UPDATE SET tried_at = now(), error = excluded.error,
    failures = source_refreshes.failures + 1, failed_at = coalesce(source_refreshes.failed_at, now())
"""


@dataclass(frozen=True, slots=True)
class Announced:
    """When the first and the last of the changes were accepted that were announced but not indexed when a refresh
    began; None if there were none."""

    first: datetime | None
    last: datetime | None


def announced(
    connection: Connection[TupleRow], team_id: uuid.UUID, source: str, changed_at: datetime | None = None
) -> Announced:
    """The changes that a refresh covers if it reads the repository after this call.

    `changed_at` is when the change that started the refresh was accepted; the log may no longer contain that change.
    """
    key = {"team": team_id, "source": source}
    row = connection.execute(_COVERED, key).fetchone()
    covered: datetime | None = row[0] if row else None
    row = connection.execute(_WAITING, {**key, "covered": covered}).fetchone()
    first, last = row if row else (None, None)
    if changed_at and covered and changed_at <= covered:
        changed_at = None  # a refresh for a task has indexed the change already
    times = [time for time in (first, changed_at) if time is not None]
    return Announced(min(times, default=None), last)


def succeeded(connection: Connection[TupleRow], team_id: uuid.UUID, source: str, changes: Announced) -> None:
    """Records that these changes are searchable. Must run in the transaction that makes the version visible."""
    connection.execute(_SUCCEEDED, {"team": team_id, "source": source, "until": changes.last})


def failed(connection: Connection[TupleRow], team_id: uuid.UUID, source: str, reason: BaseException) -> None:
    """Records why a refresh failed; the changes that it should have covered keep waiting."""
    error = redact(f"{reason}".replace("\0", " ").encode("utf-8", "replace").decode())[:_LONGEST_ERROR]
    connection.execute(_FAILED, {"team": team_id, "source": source, "error": error or type(reason).__name__})
