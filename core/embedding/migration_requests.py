"""Queued migration requests, at most one for each model. A repeated request makes the queued one due immediately.

Not for starting migrations: `assets.migrations.lifecycle.begin` does that, oldest request first.
"""

from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.rows import TupleRow, class_row

MOST = 100


@dataclass(frozen=True, slots=True)
class MigrationRequest:
    """`reason` is why it could not be started, and `tried_at` when that was tried; both None before the first try."""

    model_id: int
    model: str
    state: str
    asked_at: datetime
    tried_at: datetime | None
    reason: str | None


def ask(connection: Connection[TupleRow], model_id: int) -> None:
    """Queues a request. Idempotent. A request that could not be started before is tried again immediately."""
    connection.execute(
        "INSERT INTO migration_requests (model_id) VALUES (%s) "
        "ON CONFLICT (model_id) DO UPDATE SET tried_at = NULL, reason = NULL",
        (model_id,),
    )


def waiting(connection: Connection[TupleRow]) -> list[MigrationRequest]:
    """The oldest first; at most `MOST`."""
    with connection.cursor(row_factory=class_row(MigrationRequest)) as cursor:
        return cursor.execute(
            "SELECT r.model_id, coalesce(m.name, m.identity) AS model, m.state, r.asked_at, r.tried_at, r.reason "
            "FROM migration_requests r JOIN embedding_models m ON m.id = r.model_id "
            "ORDER BY r.asked_at, r.model_id LIMIT %s",
            (MOST,),
        ).fetchall()


def refuse(connection: Connection[TupleRow], model_id: int, reason: str) -> None:
    """Records why a request cannot be started now."""
    connection.execute(
        "UPDATE migration_requests SET tried_at = now(), reason = %s WHERE model_id = %s", (reason[:1000], model_id)
    )


def forget(connection: Connection[TupleRow], model_id: int) -> bool:
    """Removes a request that was started or withdrawn; False when there was none."""
    return connection.execute("DELETE FROM migration_requests WHERE model_id = %s", (model_id,)).rowcount > 0
