"""Doing an event's work once, for consumers whose work is in Postgres: claim the event in that work's transaction."""

from datetime import datetime

from psycopg import Connection
from psycopg.rows import TupleRow

from core.events import Event


def claim_event(connection: Connection[TupleRow], consumer: str, event: Event) -> bool:
    """Whether `consumer` has this event for the first time. The claim holds if the caller's transaction commits;
    a second transaction with the same event waits for the first one to end."""
    return (
        connection.execute(
            "INSERT INTO processed_events (team_id, consumer, event_id) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            (event.teamid, consumer, event.id),
        ).rowcount
        == 1
    )


def prune_claims(connection: Connection[TupleRow], before: datetime) -> int:
    """Forgets claims made before `before`, which must be earlier than any event that may still be repeated."""
    return connection.execute("DELETE FROM processed_events WHERE processed_at < %s", (before,)).rowcount
