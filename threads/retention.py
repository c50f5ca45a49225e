"""What of threads is deleted after a while: changes that all clients have read or are too late for, and clients that do
not come back. Threads and their messages stay."""

from datetime import datetime

from core.database import Database
from core.retention import Found

DAYS = 30
"""A client that stays away longer reads everything again."""
_AT_ONCE = 5000

_DUE = "thread_feed WHERE feed_offset IS NOT NULL AND at < %s"
# A later change of the same thread tells a client as much: it then reads the ops that it lacks.
_SUPERSEDED = (
    "thread_feed f JOIN (SELECT thread_id, max(feed_offset) AS last FROM thread_feed GROUP BY thread_id) AS latest "
    "ON latest.thread_id = f.thread_id AND f.feed_offset < latest.last "
    "WHERE f.before IS NULL AND f.at < now() - interval '1 day' "
    "AND f.at >= %(before)s"
)
_DELETE_SUPERSEDED = f"DELETE FROM thread_feed WHERE number IN (SELECT f.number FROM {_SUPERSEDED} LIMIT %(most)s)"  # noqa: S608
_LAPSED = "sync_clients WHERE last_seen < %s"


def look(database: Database, before: datetime) -> Found:
    with database.system() as connection:
        changes = connection.execute(f"SELECT count(*), min(at) FROM {_DUE}".encode(), (before,)).fetchone()  # noqa: S608
        clients = connection.execute(
            f"SELECT count(*), min(last_seen) FROM {_LAPSED}".encode(),  # noqa: S608
            (before,),
        ).fetchone()
        superseded = connection.execute(
            f"SELECT count(*), min(f.at) FROM {_SUPERSEDED}".encode(),  # noqa: S608
            {"before": before},
        ).fetchone()
    found = [row for row in (changes, clients, superseded) if row is not None]
    return Found(sum(row[0] for row in found), min((row[1] for row in found if row[1] is not None), default=None))


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
                _DELETE_SUPERSEDED.encode(),
                {"before": before, "most": 10 * _AT_ONCE},
            ).rowcount
        gone += deleted
        if deleted < 10 * _AT_ONCE:
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
