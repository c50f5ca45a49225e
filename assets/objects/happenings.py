"""Tells durable objects what the platform has done, as events of the topic that they subscribe to: publications, and
decisions about migrations. How tasks end is on `penstock.outcomes` already.

What was changed lately is looked at again, as a transaction may commit late; an event's id is what it is about, so it
is appended once, and its effect on a subscriber's state happens once.
"""

from datetime import datetime
from typing import Any

from core.database import Database
from core.eventlog.postgres import PostgresLog
from core.events import DEFAULT_TEAM, OBJECTS, Event
from core.states import MigrationState

PUBLISHED = "penstock.task.published"
DECIDED = "penstock.migration.decided"
LOOK_BACK_MINUTES = 2
"""More than a transaction of the platform takes."""
MOST = 5000
_DECIDED_STATES = (
    MigrationState.JUDGED,
    MigrationState.OBSERVING,
    MigrationState.DRAINING,
    MigrationState.DONE,
    MigrationState.CANCELLED,
    MigrationState.ROLLED_BACK,
)


def announce(database: Database, log: PostgresLog, since: datetime | None) -> datetime | None:
    """Appends what has happened since a moment of the database's clock; returns the moment to go on from. Nothing is
    appended, and None returned, while no object subscribes."""
    with database.system() as connection:
        row = connection.execute(
            "SELECT clock_timestamp() WHERE EXISTS (SELECT FROM object_subscriptions WHERE topic = %s)", (OBJECTS,)
        ).fetchone()
        if row is None:
            return None
        now: datetime = row[0]
        if since is None:
            return now
        published = connection.execute(
            "SELECT p.team_id, p.task_id, p.attempt, p.target, p.location, p.updated_at, t.source, t.title "
            "FROM publications p JOIN tasks t ON t.id = p.task_id WHERE p.state = 'published' "
            "AND p.updated_at > %s - make_interval(mins => %s) ORDER BY p.updated_at LIMIT %s",
            (since, LOOK_BACK_MINUTES, MOST),
        ).fetchall()
        decided = connection.execute(
            "SELECT m.id, m.state, m.reason, coalesce(o.name, o.identity), coalesce(n.name, n.identity) "
            "FROM model_migrations m JOIN embedding_models o ON o.id = m.old_model "
            "JOIN embedding_models n ON n.id = m.new_model "
            "WHERE m.state = ANY(%s) AND m.state_at > %s - make_interval(mins => %s) ORDER BY m.state_at LIMIT %s",
            (list(_DECIDED_STATES), since, LOOK_BACK_MINUTES, MOST),
        ).fetchall()
    events = [*map(_published, published), *map(_decided, decided)]
    log.append([(OBJECTS, event) for event in events])
    # After a full page the next look begins where this one ended, which a look back must not undo.
    return published[-1][5] if len(published) == MOST and published[-1][5] > since else now


def _published(row: Any) -> Event:
    team, task, attempt, target, location, _, source, title = row
    return Event(
        id=f"published:{task}:{attempt}:{target}"[:512],
        source="/penstock/tasks",
        type=PUBLISHED,
        subject=source,
        teamid=team,
        data={
            "task": str(task),
            "attempt": attempt,
            "source": source,
            "title": title,
            "target": target,
            "location": location,
        },
    )


def _decided(row: Any) -> Event:
    """Models belong to the platform: its default team hears of them."""
    migration, state, reason, old, new = row
    return Event(
        id=f"migration:{migration}:{state}",
        source="/penstock/migrations",
        type=DECIDED,
        subject=new,
        teamid=DEFAULT_TEAM,
        data={"migration": migration, "state": state, "reason": reason, "old": old, "new": new},
    )
