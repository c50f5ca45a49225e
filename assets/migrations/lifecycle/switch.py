"""Changes of a migration's state by operators or the driver: start, pause, cancel, cut over, roll back, drain, retire.

Each is one short transaction that locks the migration's row, so that concurrent operators are served in turn, and the
second one's error says what the first did. A cut-over is atomic: both models change state in the same commit, and a
search reads the states once.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from assets.migrations.lifecycle import record
from assets.migrations.lifecycle.record import Migration, MigrationRefused, Options
from assets.migrations.retirement.retire import retire_model
from core.database import Database
from core.embedding import catalogue, migration_requests
from core.embedding.catalogue import Entry, ModelConflict
from core.health import migration_health
from core.states import MigrationState, ModelState
from core.statistics import Verdict


@contextmanager
def _held(database: Database, number: int) -> Iterator[tuple[Connection[TupleRow], Migration]]:
    with database.system() as connection:
        connection.execute("SET LOCAL lock_timeout = '5s'")
        yield connection, record.get(connection, number, lock=True)


def start(database: Database, old: Entry, new: Entry, options: Options, plan: dict[str, Any]) -> Migration:
    """Opens a migration; from its commit on, new content gets vectors of both models. Raises `MigrationRefused`."""
    with database.system() as connection:
        made = record.create(connection, old, new, options, plan)
        _model(connection, made.new_model, ModelState.BUILDING)
        record.move(connection, made, MigrationState.BUILDING)
        migration_requests.forget(connection, made.new_model)
        return record.get(connection, made.id)


def pause(database: Database, number: int, paused: bool, reason: str = "", *, by_itself: bool = False) -> Migration:
    """Pauses or resumes an open migration; its work stops at the next part. `by_itself` is for a fault that the driver
    detected, which `core.health.migration_health` reports. Raises `MigrationRefused` for a closed migration."""
    with _held(database, number) as (connection, migration):
        if not migration.is_open:
            raise MigrationRefused(f"migration {number} is {migration.state}: there is nothing to pause or resume")
        if migration.paused != paused:
            record.write(connection, number, paused=paused, reason=reason or None)
            body = {"by": migration_health.ITSELF} if by_itself else {}
            body |= {"reason": reason} if reason else {}
            record.note(connection, number, "paused" if paused else "resumed", body)
        return record.get(connection, number)


def cancel(database: Database, number: int, reason: str = "") -> Migration:
    """Cancels a migration before its cut-over. Its vectors stay, so that another migration continues from them. Raises
    `MigrationRefused` after the cut-over."""
    with _held(database, number) as (connection, migration):
        if migration.state in (MigrationState.OBSERVING, MigrationState.DRAINING):
            raise MigrationRefused(f"migration {number} has cut over: roll it back instead")
        record.move(connection, migration, MigrationState.CANCELLED, reason)
        # A model that was retired meanwhile stays retired.
        if catalogue.by_id(connection, migration.new_model).state == ModelState.BUILDING:
            _model(connection, migration.new_model, ModelState.REGISTERED)
        return record.get(connection, number)


def compare_again(database: Database, number: int, queries: int | None = None) -> Migration:
    """Schedules another comparison, with at most `queries` of each kind if given; only after `inconclusive`.

    The margin and all other options stay. Raises `MigrationRefused`.
    """
    with _held(database, number) as (connection, migration):
        if migration.state != MigrationState.JUDGED:
            raise MigrationRefused(f"migration {number} is {migration.state}: only a judged one can be compared again")
        verdict = (migration.comparison or {}).get("verdict")
        if verdict != Verdict.INCONCLUSIVE:
            raise MigrationRefused(
                f"the gate says {verdict}: comparing until it says something else would prove nothing; "
                "cut over (--accept if it is not safe), or cancel"
            )
        if queries is not None and queries < migration.chosen.queries:
            raise MigrationRefused(
                f"at most {queries} queries are fewer than the {migration.chosen.queries} of the previous comparison"
            )
        asked = queries or migration.chosen.queries
        record.set_queries(connection, number, asked)
        record.move(connection, migration, MigrationState.SHADOWING, f"compared again, with at most {asked} queries")
        return record.get(connection, number)


def cut_over(database: Database, number: int, *, accept: bool = False, by: str = "an operator") -> Migration:
    """Makes the new model answer from the next search on; the old one still gets vectors of new content.

    Raises `MigrationRefused` unless the gate's verdict is safe or `accept` is given. With `accept`, an operator cuts
    over despite `inconclusive`, `worse` or missing vectors, or without a comparison, which an old model whose server is
    gone permanently does not allow. The driver never passes it.
    """
    with database.system() as connection:
        migration = record.get(connection, number)
        gaps = [c for c in catalogue.coverage(connection, migration.new_model) if c.covered < c.chunks]
    if gaps and not accept:
        shown = ", ".join(f"{gap.source} ({gap.chunks - gap.covered} chunks)" for gap in gaps[:5])
        raise MigrationRefused(f"{migration.new_name} does not cover {shown} yet: penstock migrate resume")
    with _held(database, number) as (connection, migration):
        began = time.perf_counter()
        if migration.state == MigrationState.SHADOWING:
            if not accept:
                raise MigrationRefused(
                    f"migration {number} is not compared yet ({migration.reason or 'the comparison has not ended'}): "
                    "if the old model is gone permanently, cutover --accept cuts over without a comparison"
                )
            record.move(connection, migration, MigrationState.JUDGED, "an operator continues without a comparison")
        elif migration.state in (MigrationState.OBSERVING, MigrationState.DRAINING, MigrationState.DONE):
            raise MigrationRefused(f"migration {number} is {migration.state}: it has cut over already")
        elif migration.state != MigrationState.JUDGED:
            raise MigrationRefused(f"migration {number} is {migration.state}: only a judged one can be cut over")
        comparison = migration.comparison or {}
        if not comparison.get("safe") and not accept:
            raise MigrationRefused(
                f"the gate says {comparison.get('verdict', 'nothing')} ({comparison.get('reason', 'not compared')}): "
                "read `penstock migrate report`, then cancel, or cut over with --accept"
            )
        if migration.paused:  # otherwise the new model would not be observed
            record.write(connection, number, paused=False)
            record.note(connection, number, "resumed", {"reason": "cut over"})
        moves = ((migration.new_model, ModelState.SERVING), (migration.old_model, ModelState.BUILDING))
        _move_together(connection, migration, moves, MigrationState.OBSERVING, f"cut over by {by}")
    return _locks_held(database, number, began)


def roll_back(database: Database, number: int, reason: str) -> Migration:
    """Makes the old model answer again from the next search on. Raises `MigrationRefused` unless the migration is
    observing or draining."""
    with _held(database, number) as (connection, migration):
        began = time.perf_counter()
        if migration.state not in (MigrationState.OBSERVING, MigrationState.DRAINING):
            hints = {
                MigrationState.DONE: f"penstock migrate restore {migration.old_name}, then start a migration back",
                MigrationState.CANCELLED: "it never cut over",
                MigrationState.ROLLED_BACK: f"{migration.old_name} answers since {migration.state_at:%Y-%m-%d %H:%M}",
            }
            hint = hints.get(MigrationState(migration.state), "cancel it")
            raise MigrationRefused(f"migration {number} is {migration.state}: there is no cut-over to undo; {hint}")
        moves = (
            (migration.old_model, ModelState.SERVING),
            (migration.new_model, ModelState.BUILDING),
            (migration.new_model, ModelState.REGISTERED),
        )
        _move_together(connection, migration, moves, MigrationState.ROLLED_BACK, reason)
    return _locks_held(database, number, began)


def drain(database: Database, number: int) -> Migration:
    """Ends observation: the old model gets no more vectors, but can still be rolled back to."""
    with _held(database, number) as (connection, migration):
        record.move(connection, migration, MigrationState.DRAINING)
        _model(connection, migration.old_model, ModelState.DRAINING)
        return record.get(connection, number)


def finish(database: Database, number: int, archives: Path) -> Migration:
    """Retires the old model: proves that nothing needs its vectors, archives them under `archives`, and drops them.

    Raises `MigrationRefused` and `ArchiveFailed`.
    """
    with database.system() as connection:
        migration = record.get(connection, number)
    if migration.state != MigrationState.DRAINING:
        raise MigrationRefused(f"migration {number} is {migration.state}: only a draining one can be finished")

    def done(connection: Connection[TupleRow]) -> None:
        # The migration may have been rolled back during archiving.
        now = record.get(connection, number, lock=True)
        if now.state != MigrationState.DRAINING:
            raise MigrationRefused(f"migration {number} is {now.state}: only a draining one can be finished")
        record.move(connection, now, MigrationState.DONE)

    try:
        kept = retire_model(database, migration.old_model, archives, finish=done)
    except ModelConflict as error:
        raise MigrationRefused(f"{migration.old_name} cannot be retired yet: {error}") from error
    with database.system() as connection:
        if kept is not None:
            body = {"vectors": kept.rows, "bytes": kept.bytes, "file": kept.file}
            record.note(connection, number, "archived", body)
        return record.get(connection, number)


def _move_together(
    connection: Connection[TupleRow],
    migration: Migration,
    models: Sequence[tuple[int, ModelState]],
    state: MigrationState,
    reason: str,
) -> None:
    """Changes the states of models and migration in one round trip to the database, since searches wait for it.

    Raises `MigrationRefused` when any change is not legal; then none is made.
    """
    try:
        with connection.pipeline():
            for model, wanted in models:
                connection.execute(
                    "UPDATE embedding_models SET state = %s, state_at = now() WHERE id = %s AND state <> %s",
                    (wanted, model, wanted),
                )
            connection.execute(
                "UPDATE model_migrations SET state = %s, reason = %s, state_at = now() WHERE id = %s",
                (state, reason or None, migration.id),
            )
            record.note(connection, migration.id, state, {"reason": reason} if reason else {})
    except psycopg.errors.CheckViolation as error:
        raise MigrationRefused(
            f"migration {migration.id} cannot become {state}: {error.diag.message_primary or error}"
        ) from error


def _locks_held(database: Database, number: int, began: float) -> Migration:
    """Records for how long the change just committed locked the migration and its models."""
    held = 1000 * (time.perf_counter() - began)
    with database.system() as connection:
        record.note(connection, number, "locks held", {"milliseconds": round(held, 2)})
        return record.get(connection, number)


def _model(connection: Connection[TupleRow], model_id: int, state: ModelState) -> None:
    try:
        catalogue.move(connection, model_id, state)
    except ModelConflict as error:
        raise MigrationRefused(f"the catalogue changed meanwhile: {error}") from error
