"""The state of a source's tickets: their number, how long changes took to be searchable, and the last changes."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.rows import TupleRow

LAST = 20


@dataclass(frozen=True)
class StatusChange:
    """A change of a ticket's state; `before` and `after` include the service's own status if that adds something."""

    key: str
    action: str
    before: str | None
    after: str
    at: datetime


@dataclass(frozen=True)
class TicketStatus:
    """The numbers of tickets by kind and state, of searchable texts and of waiting changes. The lags are the median and
    maximum time in seconds from the arrival of a change until it was searchable, over the last hundred changes; None
    before the first."""

    tickets: dict[str, int]
    parts: int
    waiting: int
    lag_median: float | None
    lag_most: float | None
    last: tuple[StatusChange, ...]

    @property
    def total(self) -> int:
        return sum(self.tickets.values())


def ticket_status(connection: Connection[TupleRow], team_id: uuid.UUID, source: str) -> TicketStatus:
    key = (team_id, source)
    counted = connection.execute(
        "SELECT kind || ' ' || state, count(*) FROM tickets WHERE team_id = %s AND source = %s "
        "AND deleted_at IS NULL AND title <> '' GROUP BY 1 ORDER BY 1",
        key,
    ).fetchall()
    parts = connection.execute(
        "SELECT count(*) FROM ticket_parts WHERE team_id = %s AND source = %s AND content_id IS NOT NULL", key
    ).fetchone()
    waiting = connection.execute(
        "SELECT count(*) FROM ticket_changes WHERE team_id = %s AND source = %s AND applied_at IS NULL", key
    ).fetchone()
    lag = connection.execute(
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds), max(seconds) FROM ("
        "SELECT extract(epoch FROM searchable_at - received_at)::double precision AS seconds FROM ticket_changes "
        "WHERE team_id = %s AND source = %s AND searchable_at IS NOT NULL ORDER BY received_at DESC LIMIT 100) l",
        key,
    ).fetchone()
    last = connection.execute(
        "SELECT key, action, state_before, state_after, received_at FROM ticket_changes "
        "WHERE team_id = %s AND source = %s AND state_after IS NOT NULL ORDER BY received_at DESC, seq DESC LIMIT %s",
        (*key, LAST),
    ).fetchall()
    return TicketStatus(
        tickets=dict(counted),
        parts=int(parts[0]) if parts else 0,
        waiting=int(waiting[0]) if waiting else 0,
        lag_median=round(lag[0], 3) if lag and lag[0] is not None else None,
        lag_most=round(lag[1], 3) if lag and lag[1] is not None else None,
        last=tuple(StatusChange(*row) for row in last),
    )
