"""Records what each refresh of a source came to, and which announced changes its version brought.

What is recorded is read through `core.health.freshness`. Nothing here decides what is indexed.
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
    """The changes of a source that were announced and not indexed when a refresh began: when the first and the
    last of them were accepted, None if there were none."""

    first: datetime | None
    last: datetime | None


def announced(
    connection: Connection[TupleRow], team_id: uuid.UUID, source: str, changed_at: datetime | None = None
) -> Announced:
    """What a refresh that begins now will cover, since it looks at the repository after this.

    `changed_at` is when the change was accepted that the refresh was started for; the log may not
    hold it any more.
    """
    key = {"team": team_id, "source": source}
    row = connection.execute(_COVERED, key).fetchone()
    covered: datetime | None = row[0] if row else None
    row = connection.execute(_WAITING, {**key, "covered": covered}).fetchone()
    first, last = row if row else (None, None)
    if changed_at and covered and changed_at <= covered:
        changed_at = None  # an earlier refresh, for a task, was faster than the one that the change started
    times = [time for time in (first, changed_at) if time is not None]
    return Announced(min(times, default=None), last)


def succeeded(connection: Connection[TupleRow], team_id: uuid.UUID, source: str, changes: Announced) -> None:
    """Notes that these changes are searchable now. Belongs into the transaction that makes them so."""
    connection.execute(_SUCCEEDED, {"team": team_id, "source": source, "until": changes.last})


def failed(connection: Connection[TupleRow], team_id: uuid.UUID, source: str, reason: BaseException) -> None:
    """Notes why a refresh failed; what it should have covered goes on waiting."""
    error = redact(f"{reason}".replace("\0", " ").encode("utf-8", "replace").decode())[:_LONGEST_ERROR]
    connection.execute(_FAILED, {"team": team_id, "source": source, "error": error or type(reason).__name__})
