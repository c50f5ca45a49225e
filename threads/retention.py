"""What of threads is deleted after a while: changes that all clients have read or are too late for, and clients that do
not come back. Threads and their messages stay."""

from datetime import datetime

from core.database import Database
from core.retention import Found

DAYS = 30
"""A client that stays away longer reads everything again."""
_AT_ONCE = 5000

_DUE = "thread_feed WHERE feed_offset IS NOT NULL AND at < %s"
_LAPSED = "sync_clients WHERE last_seen < %s"


def look(database: Database, before: datetime) -> Found:
    with database.system() as connection:
        changes = connection.execute(f"SELECT count(*), min(at) FROM {_DUE}".encode(), (before,)).fetchone()  # noqa: S608
        clients = connection.execute(
            f"SELECT count(*), min(last_seen) FROM {_LAPSED}".encode(),  # noqa: S608
            (before,),
        ).fetchone()
    assert changes is not None and clients is not None  # noqa: S101  of aggregates
    oldest = [at for at in (changes[1], clients[1]) if at is not None]
    return Found(changes[0] + clients[0], min(oldest, default=None))


def prune(database: Database, before: datetime) -> int:
    """Deletes what is older than `before`, and returns how much that was."""
    gone = 0
    while True:
        with database.system() as connection:
            rows = connection.execute(
                "SELECT team_id, max(feed_offset) FROM (SELECT team_id, feed_offset FROM thread_feed "
                "WHERE feed_offset IS NOT NULL AND at < %s ORDER BY team_id, feed_offset LIMIT %s) AS oldest "
                "GROUP BY team_id",
                (before, _AT_ONCE),
            ).fetchall()
            for team, last in rows:
                connection.execute(
                    "UPDATE thread_feeds SET first_offset = greatest(first_offset, %s) WHERE team_id = %s",
                    (last + 1, team),
                )
                gone += connection.execute(
                    "DELETE FROM thread_feed WHERE team_id = %s AND feed_offset <= %s", (team, last)
                ).rowcount
        if not rows:
            break
    while True:
        with database.system() as connection:
            deleted = connection.execute(
                f"DELETE FROM sync_clients WHERE id IN (SELECT id FROM {_LAPSED} LIMIT %s)".encode(),  # noqa: S608
                (before, _AT_ONCE),
            ).rowcount
        gone += deleted
        if deleted < _AT_ONCE:
            return gone
