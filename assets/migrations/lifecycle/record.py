"""A migration's row and its timeline: its state, the reason, and what each stage measured.

The row is the only memory of a migration: a driver may be killed at any moment, and the next one resumes from the row.
Postgres checks changes of state against `core/states.py`.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow, class_row
from psycopg.types.json import Jsonb
from pydantic import BaseModel, ConfigDict, Field

from assets.migrations.backfill.pace import SHARE
from core.embedding import catalogue
from core.health.migration_health import STALLED_MINUTES
from core.settings import SLOWER
from core.states import CLOSED_MIGRATION_STATES, MigrationState, ModelState

_COLUMNS = """m.id, m.old_model, m.new_model, o.name AS old_name, n.name AS new_name, m.state, m.paused, m.options,
m.plan, m.progress, m.comparison, m.observation, m.reason, m.created_at, m.state_at"""
_TIMELINE = """
SELECT at, kind, body FROM (
    SELECT id, at, kind, body, kind = 'progress' AS often, row_number() OVER w AS place, count(*) OVER w2 AS many
    FROM model_migration_events WHERE migration_id = %(number)s
    WINDOW w AS (PARTITION BY kind = 'progress' ORDER BY id DESC), w2 AS (PARTITION BY kind = 'progress')) noted
WHERE CASE WHEN often THEN (place - 1) %% (1 + many / %(most)s) = 0 ELSE place <= %(most)s END
ORDER BY id
"""
_FROM = """FROM model_migrations m JOIN embedding_models o ON o.id = m.old_model
JOIN embedding_models n ON n.id = m.new_model"""


class MigrationRefused(RuntimeError):
    """The migration does not allow an action at present; the message says why and what to do."""


FEWEST_QUERIES, MOST_QUERIES = 10, 5000

_REMOVED = {"slowdown"}
"""Options that rows written by earlier versions may still have."""


class Options(BaseModel):
    """Set before the start and fixed: a margin chosen after seeing results would prove nothing. Only `queries` may
    grow, for a further comparison."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    margin: float = Field(
        default=0.03, gt=0, lt=1, description="How much nDCG and recall may fall, as a fraction of 1."
    )
    k: int = Field(default=10, ge=1, le=100, description="Files looked at per query.")
    queries: int = Field(
        default=400,
        ge=FEWEST_QUERIES,
        le=MOST_QUERIES,
        description="Maximum number of queries of each kind to compare with.",
    )
    automatic: bool = Field(default=True, description="Cut over automatically when the gate says it is safe.")
    slower: float = Field(
        default=SLOWER,
        ge=1,
        le=1000,
        description="How many times as long searches may take (95th percentile) without waiting for an operator.",
    )
    threads: int = Field(default=0, ge=0, le=256, description="Cores for building with a local model; 0: all.")
    share: float = Field(default=SHARE, gt=0, le=1, description="Share of the time in which building embeds.")
    nice: int = Field(default=10, ge=0, le=19, description="Niceness of the build on its machine.")
    batch_chunks: int = Field(
        default=512, ge=2, le=8192, description="Maximum number of chunks that a kill makes embed again."
    )
    observe_seconds: float = Field(
        default=3600.0, ge=0, description="Seconds for which the old model is kept ready after the cut-over."
    )
    drain_seconds: float = Field(
        default=60.0, ge=0, description="Seconds between the last use of the old vectors and their removal."
    )
    stalled_minutes: float = Field(
        default=STALLED_MINUTES,
        gt=0,
        description="Minutes without progress, although there is work, until it is reported.",
    )


@dataclass(frozen=True, slots=True)
class Migration:
    """One row. The stages write `plan`, `progress`, `comparison` and `observation`."""

    id: int
    old_model: int
    new_model: int
    old_name: str
    new_name: str
    state: str
    paused: bool
    options: dict[str, Any]
    plan: dict[str, Any]
    progress: dict[str, Any]
    comparison: dict[str, Any] | None
    observation: dict[str, Any] | None
    reason: str | None
    created_at: datetime
    state_at: datetime

    @property
    def chosen(self) -> Options:
        return Options.model_validate({name: value for name, value in self.options.items() if name not in _REMOVED})

    @property
    def is_open(self) -> bool:
        return self.state not in CLOSED_MIGRATION_STATES


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    at: datetime
    kind: str
    body: dict[str, Any]


def create(
    connection: Connection[TupleRow], old: catalogue.Entry, new: catalogue.Entry, options: Options, plan: dict[str, Any]
) -> Migration:
    """Raises `MigrationRefused` while another migration is open, or for models that cannot be migrated."""
    check_none_open(connection)
    check_models(old, new)
    try:
        with connection.transaction():
            row = connection.execute(
                "INSERT INTO model_migrations (old_model, new_model, options, plan) "
                "VALUES (%s, %s, %s, %s) RETURNING id",
                (old.id, new.id, Jsonb(options.model_dump()), Jsonb(plan)),
            ).fetchone()
    except psycopg.errors.UniqueViolation as error:
        raise _already_open(current(connection)) from error
    if row is None:
        raise LookupError("the database did not return the new migration's number")
    note(connection, row[0], "planned", plan)
    return get(connection, row[0])


def check_none_open(connection: Connection[TupleRow]) -> None:
    """Raises `MigrationRefused` while a migration is open."""
    running = current(connection)
    if running is not None and running.is_open:
        raise _already_open(running)


def check_models(old: catalogue.Entry, new: catalogue.Entry) -> None:
    """Raises `MigrationRefused` for models between which no migration can start."""
    if old.id == new.id:
        raise MigrationRefused(f"{old.name} cannot be migrated to itself: name another model with --to")
    if old.state != ModelState.SERVING:
        raise MigrationRefused(f"{old.name} is {old.state}, not serving: there is nothing to migrate from")
    if new.state == ModelState.SERVING:
        raise MigrationRefused(
            f"{new.name} is serving: only a registered model can be migrated to; to serve without {old.name}, "
            f"penstock models retire {old.name}"
        )
    if new.state != ModelState.REGISTERED:
        raise MigrationRefused(f"{new.name} is {new.state}: only a registered model can be migrated to")


def _already_open(running: Migration | None) -> MigrationRefused:
    name = f"{running.old_name} to {running.new_name} (number {running.id}, {running.state})" if running else "another"
    return MigrationRefused(f"a migration is open already: {name}; finish, cancel or roll it back first")


def get(connection: Connection[TupleRow], number: int, *, lock: bool = False) -> Migration:
    """Raises `MigrationRefused` when there is none. With `lock`, its row is locked until the transaction ends."""
    with connection.cursor(row_factory=class_row(Migration)) as cursor:
        tail = "FOR UPDATE OF m" if lock else ""
        found = cursor.execute(f"SELECT {_COLUMNS} {_FROM} WHERE m.id = %s {tail}", (number,)).fetchone()
    if found is None:
        raise MigrationRefused(f"there is no migration {number}: penstock migrate status")
    return found


def current(connection: Connection[TupleRow]) -> Migration | None:
    """The open migration, else the last one, else None."""
    with connection.cursor(row_factory=class_row(Migration)) as cursor:
        return cursor.execute(
            f"SELECT {_COLUMNS} {_FROM} ORDER BY m.state IN ('done', 'cancelled', 'rolled-back'), m.id DESC LIMIT 1"
        ).fetchone()


def everything(connection: Connection[TupleRow], most: int = 50) -> list[Migration]:
    """The newest first."""
    with connection.cursor(row_factory=class_row(Migration)) as cursor:
        return cursor.execute(f"SELECT {_COLUMNS} {_FROM} ORDER BY m.id DESC LIMIT %s", (most,)).fetchall()


def move(connection: Connection[TupleRow], migration: Migration, state: MigrationState, reason: str = "") -> None:
    """Changes its state and records the reason. Raises `MigrationRefused` for an illegal or repeated change."""
    if migration.state == state:
        raise MigrationRefused(f"migration {migration.id} is {state} already")
    try:
        with connection.transaction():
            connection.execute(
                "UPDATE model_migrations SET state = %s, reason = %s, state_at = now() WHERE id = %s",
                (state, reason or None, migration.id),
            )
    except psycopg.errors.CheckViolation as error:
        raise MigrationRefused(f"migration {migration.id} is {migration.state} and cannot become {state}") from error
    note(connection, migration.id, state, {"reason": reason} if reason else {})


def write(connection: Connection[TupleRow], number: int, **columns: Any) -> None:
    """Sets `paused`, `progress`, `comparison`, `observation` or `reason`. Raises `ValueError` for another column."""
    for name, value in columns.items():
        if name not in ("paused", "progress", "comparison", "observation", "reason"):
            raise ValueError(f"{name} is not a column that a stage writes")
        wrapped = Jsonb(value) if isinstance(value, dict) else value
        connection.execute(f"UPDATE model_migrations SET {name} = %s WHERE id = %s", (wrapped, number))  # noqa: S608


def set_queries(connection: Connection[TupleRow], number: int, queries: int) -> None:
    """Changes the maximum number of queries, for a further comparison. Raises `MigrationRefused` if out of range."""
    if not FEWEST_QUERIES <= queries <= MOST_QUERIES:
        raise MigrationRefused(f"{queries} queries: must be from {FEWEST_QUERIES} to {MOST_QUERIES}")
    connection.execute(
        "UPDATE model_migrations SET options = options || %s WHERE id = %s", (Jsonb({"queries": queries}), number)
    )


def note(connection: Connection[TupleRow], number: int, kind: str, body: dict[str, Any] | None = None) -> None:
    """Adds an event to the timeline."""
    connection.execute(
        "INSERT INTO model_migration_events (migration_id, kind, body) VALUES (%s, %s, %s)",
        (number, kind, Jsonb(body or {})),
    )


def timeline(connection: Connection[TupleRow], number: int, most: int = 500) -> list[TimelineEvent]:
    """The oldest first. Progress events, which are many, are thinned evenly to `most`; of the others the newest
    `most` are returned."""
    with connection.cursor(row_factory=class_row(TimelineEvent)) as cursor:
        return cursor.execute(_TIMELINE, {"number": number, "most": most}).fetchall()
