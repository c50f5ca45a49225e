"""Whether the open migration of embedding models progresses: what it waits for, and how long nothing has happened.

For metrics, sensors and the command line; only reads. `assets.migrations` runs the migration.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import TupleRow

from core.states import MigrationState

LOOK_SECONDS = 60.0
"""Interval between checks of live searches after a cut over."""

STALLED_MINUTES = 15.0
"""Default time without progress after which an open migration that has work to do is stalled."""

ITSELF = "itself"
"""Who paused a migration that paused itself because of a fault."""

OPERATOR = "an operator"
TIME = "time"

_OPEN = """
SELECT m.id, o.name, n.name, m.state, m.paused, m.reason, m.state_at, m.options,
       coalesce((m.comparison ->> 'safe')::boolean, false) AND m.comparison ->> 'slower' IS NULL,
       (m.observation ->> 'at')::double precision,
       (SELECT max(e.at) FROM model_migration_events e WHERE e.migration_id = m.id AND e.kind <> 'waits'),
       (SELECT e.body FROM model_migration_events e WHERE e.migration_id = m.id AND e.kind = 'paused'
        ORDER BY e.id DESC LIMIT 1),
       clock_timestamp()
FROM model_migrations m JOIN embedding_models o ON o.id = m.old_model JOIN embedding_models n ON n.id = m.new_model
WHERE m.state NOT IN ('done', 'cancelled', 'rolled-back')
"""


@dataclass(frozen=True, slots=True)
class MigrationHealth:
    """The open migration. `waits_for` is an operator or time, or None while there is work to do; `quiet_seconds` is how
    long nothing has happened; `stalled` says so in a sentence when that is too long, or when a fault has paused it,
    else it is None."""

    number: int
    old: str
    new: str
    state: str
    waits_for: str | None
    quiet_seconds: float
    stalled: str | None


def read_health(connection: Connection[TupleRow]) -> MigrationHealth | None:
    """The health of the open migration; None when none is open."""
    row = connection.execute(_OPEN).fetchone()
    if row is None:
        return None
    number, old, new, state, paused, reason, state_at, options, clear, looked, moved, pause, now = row
    waits = OPERATOR if paused else waits_for(state, options, clear=clear, looked=looked, state_at=state_at, now=now)
    quiet = max(0.0, (now - max(filter(None, (state_at, moved)))).total_seconds())
    problem = None if waits else stalled(quiet, options, str(reason or ""))
    if paused:
        problem = paused_by_itself(pause or {})
    return MigrationHealth(number, old, new, state, waits, quiet, problem)


def paused_by_itself(pause: dict[str, Any]) -> str | None:
    """Why a user should look at a paused migration, from its pause event; None when a user paused it."""
    if pause.get("by") != ITSELF:
        return None
    return f"it has paused itself: {pause.get('reason', 'a fault')}; fix that, then run penstock migrate resume"


def waits_for(
    state: str,
    options: dict[str, Any],
    *,
    clear: bool,
    looked: float | None,
    state_at: datetime,
    now: datetime,
) -> str | None:
    """`OPERATOR` or `TIME` when driving a migration in this state would do nothing now; None when there is work.

    `clear` is whether the gate leaves nothing to an operator, `looked` when live searches were last checked (seconds
    since 1970).
    """
    age = (now - state_at).total_seconds()
    if state == MigrationState.JUDGED:
        return None if clear and options.get("automatic", True) else OPERATOR
    if state == MigrationState.OBSERVING and age < float(options.get("observe_seconds", 3600.0)):
        return TIME if now.astimezone(UTC).timestamp() - (looked or 0.0) < LOOK_SECONDS else None
    if state == MigrationState.DRAINING and age < float(options.get("drain_seconds", 60.0)):
        return TIME
    return None


def stalled(quiet_seconds: float, options: dict[str, Any], reason: str) -> str | None:
    """Why a user should look at a migration that has work to do, or None."""
    if quiet_seconds < 60 * float(options.get("stalled_minutes", STALLED_MINUTES)):
        return None
    return f"nothing has happened for {quiet_seconds / 60:.0f} minutes: it waits for {reason or 'a driver'}"
