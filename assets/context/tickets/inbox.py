"""Queues ticket changes from the event log: the sensor stores them, a run applies them in order of arrival.

The sensor only needs one short transaction. A change that cannot be applied is recorded by the run and does not
block others.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb
from pydantic import ValidationError

from assets.context.tickets.apply import ApplyOutcome, apply
from assets.context.tickets.renames import move_renamed
from core.database import Database
from core.events import Event
from core.tickets import TicketChange

BATCH = 200
KEPT_DAYS = 90
"""Applied changes are retained this long, to detect repeats and measure lags: longer than any log retains events."""

_ACCEPT = """
INSERT INTO ticket_changes (team_id, event_id, source, change, received_at)
SELECT team_id, %(event)s, name, %(change)s, %(received)s FROM sources WHERE team_id = %(team)s AND name = %(source)s
ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True)
class Drained:
    """The number of changes by outcome; `refused` are those that could not be read."""

    applied: int = 0
    stale: int = 0
    refused: int = 0

    @property
    def total(self) -> int:
        return self.applied + self.stale + self.refused


def accept(database: Database, events: Iterable[Event]) -> int:
    """Stores the changes in these events, each once, and returns how many are new. Changes of a source that was removed
    in the meantime are dropped."""
    rows = [
        {
            "team": event.teamid,
            "event": event.id,
            "source": event.subject,
            "change": Jsonb(event.data.get("change")),
            "received": event.time,
        }
        for event in events
    ]
    if not rows:
        return 0
    with database.system() as connection, connection.cursor() as cursor:
        cursor.executemany(_ACCEPT, rows)
        return max(cursor.rowcount, 0)


def drain(connection: Connection[TupleRow], team_id: uuid.UUID, source: str) -> Drained:
    """Applies the oldest waiting changes, at most `BATCH`, in the caller's transaction. Tickets of a repository that
    was renamed get its new name first."""
    move_renamed(connection, team_id, source)
    rows = connection.execute(
        "SELECT event_id, change, received_at FROM ticket_changes "
        "WHERE team_id = %s AND source = %s AND applied_at IS NULL ORDER BY seq LIMIT %s",
        (team_id, source, BATCH),
    ).fetchall()
    counted = {"applied": 0, "stale": 0, "refused": 0}
    for event_id, raw, received in rows:
        counted[_apply(connection, team_id, source, event_id, raw, received)] += 1
    return Drained(**counted)


def _apply(
    connection: Connection[TupleRow], team_id: uuid.UUID, source: str, event_id: str, raw: object, received: datetime
) -> str:
    change, before, after = None, None, None
    try:
        change = TicketChange.model_validate(raw)
        done = apply(connection, team_id, source, change, received)
        outcome, before, after = str(done.outcome), done.before, done.after
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        outcome = f"refused: {'.'.join(map(str, first['loc'])) or 'change'}: {first['msg']}"[:500]
    connection.execute(
        "UPDATE ticket_changes SET applied_at = now(), change = NULL, outcome = %s, key = %s, action = %s, "
        "state_before = %s, state_after = %s WHERE team_id = %s AND event_id = %s",
        (outcome, change and change.key, change and change.action, before, after, team_id, event_id),
    )
    return "applied" if outcome == ApplyOutcome.APPLIED else "refused" if outcome.startswith("refused") else "stale"


def mark_searchable(connection: Connection[TupleRow], team_id: uuid.UUID, source: str, until: datetime) -> None:
    """Records that the changes applied until a moment are searchable, and deletes changes older than `KEPT_DAYS`."""
    connection.execute(
        "UPDATE ticket_changes SET searchable_at = clock_timestamp() WHERE team_id = %s AND source = %s "
        "AND applied_at <= %s AND searchable_at IS NULL",
        (team_id, source, until),
    )
    connection.execute(
        "DELETE FROM ticket_changes WHERE team_id = %s AND source = %s "
        "AND received_at < now() - make_interval(days => %s) AND searchable_at IS NOT NULL",
        (team_id, source, KEPT_DAYS),
    )
