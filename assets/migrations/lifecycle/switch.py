"""The moves that a person or the driver makes: start, pause, cancel, cut over, roll back, drain, retire.

Each is one short transaction that holds the migration's row, so that two operators at once are served one
after the other and the second is told what the first did. Never a half cut over: both models change state
in the same commit, and a search reads the states once.
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
    """Opens a migration; from the commit on new content gets vectors of both models. Raises `MigrationRefused`."""
    with database.system() as connection:
        made = record.create(connection, old, new, options, plan)
        _model(connection, made.new_model, ModelState.BUILDING)
        record.move(connection, made, MigrationState.BUILDING)
        migration_requests.forget(connection, made.new_model)
        return record.get(connection, made.id)


def pause(database: Database, number: int, paused: bool, reason: str = "", *, by_itself: bool = False) -> Migration:
    """Stops the work of an open migration at its next part, or lets it go on. `by_itself` is for a fault that the
    driver found, of which people are told (`core.health.migration_health`)."""
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
    """Gives up before the cut over. The vectors made so far stay, so that another try goes on from them."""
    with _held(database, number) as (connection, migration):
        if migration.state in (MigrationState.OBSERVING, MigrationState.DRAINING):
            raise MigrationRefused(f"migration {number} has cut over: roll it back instead")
        record.move(connection, migration, MigrationState.CANCELLED, reason)
        # One that somebody has retired meanwhile stays as it is.
        if catalogue.by_id(connection, migration.new_model).state == ModelState.BUILDING:
            _model(connection, migration.new_model, ModelState.REGISTERED)
        return record.get(connection, number)


def compare_again(database: Database, number: int, queries: int | None = None) -> Migration:
    """Has both models asked once more, with at most `queries` of each kind if given: after `inconclusive` alone.

    Neither the margin nor anything else that was set beforehand changes. Raises `MigrationRefused`.
    """
    with _held(database, number) as (connection, migration):
        if migration.state != MigrationState.JUDGED:
            raise MigrationRefused(f"migration {number} is {migration.state}: only a judged one can be compared again")
        verdict = (migration.comparison or {}).get("verdict")
        if verdict != Verdict.INCONCLUSIVE:
            raise MigrationRefused(
                f"the gate says {verdict}: asking until it says something else would prove nothing; "
                "cut over (--accept if it is not safe), or cancel"
            )
        if queries is not None and queries < migration.chosen.queries:
            raise MigrationRefused(
                f"at most {queries} queries are fewer than the {migration.chosen.queries} that could be asked before"
            )
        asked = queries or migration.chosen.queries
        record.set_queries(connection, number, asked)
        record.move(connection, migration, MigrationState.SHADOWING, f"compared again, with at most {asked} queries")
        return record.get(connection, number)


def cut_over(database: Database, number: int, *, accept: bool = False, by: str = "a person") -> Migration:
    """Lets the new model answer from the next search on; the old one is kept up to date meanwhile.

    Raises `MigrationRefused` unless the gate said that it is safe, or said something else and `accept` is given;
    a person may accept `inconclusive` or `worse` knowingly, the driver never does. With `accept`, what is built
    may go on without a comparison too: a server that is gone for good can be compared with nothing.
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
                    "if the old model is gone for good, cutover --accept goes on without a comparison"
                )
            record.move(connection, migration, MigrationState.JUDGED, "a person goes on without a comparison")
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
        if migration.paused:  # otherwise nobody would look whether it does well
            record.write(connection, number, paused=False)
            record.note(connection, number, "resumed", {"reason": "it is cut over"})
        moves = ((migration.new_model, ModelState.SERVING), (migration.old_model, ModelState.BUILDING))
        _move_together(connection, migration, moves, MigrationState.OBSERVING, f"cut over by {by}")
    return _locks_held(database, number, began)


def roll_back(database: Database, number: int, reason: str) -> Migration:
    """Lets the old model answer again from the next search on. Raises `MigrationRefused` before and after its time."""
    with _held(database, number) as (connection, migration):
        began = time.perf_counter()
        if migration.state not in (MigrationState.OBSERVING, MigrationState.DRAINING):
            hints = {
                MigrationState.DONE: f"penstock migrate restore {migration.old_name}, then start a migration back",
                MigrationState.CANCELLED: "it never cut over",
                MigrationState.ROLLED_BACK: f"{migration.old_name} answers since {migration.state_at:%Y-%m-%d %H:%M}",
            }
            hint = hints.get(MigrationState(migration.state), "cancel it")
            raise MigrationRefused(f"migration {number} is {migration.state}: there is no cut over to undo; {hint}")
        moves = (
            (migration.old_model, ModelState.SERVING),
            (migration.new_model, ModelState.BUILDING),
            (migration.new_model, ModelState.REGISTERED),
        )
        _move_together(connection, migration, moves, MigrationState.ROLLED_BACK, reason)
    return _locks_held(database, number, began)


def drain(database: Database, number: int) -> Migration:
    """Ends the time of rolling back at once: the old model gets no more vectors."""
    with _held(database, number) as (connection, migration):
        record.move(connection, migration, MigrationState.DRAINING)
        _model(connection, migration.old_model, ModelState.DRAINING)
        return record.get(connection, number)


def finish(database: Database, number: int, archives: Path) -> Migration:
    """Retires the old model: proves that nothing needs its vectors, keeps them below `archives`, and drops them.

    Raises `MigrationRefused` and `ArchiveFailed`.
    """
    with database.system() as connection:
        migration = record.get(connection, number)
    if migration.state != MigrationState.DRAINING:
        raise MigrationRefused(f"migration {number} is {migration.state}: only a draining one can be finished")

    def done(connection: Connection[TupleRow]) -> None:
        # Archiving takes its time: somebody may have rolled back meanwhile.
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
            record.note(connection, number, "kept for a return", body)
        return record.get(connection, number)


def _move_together(
    connection: Connection[TupleRow],
    migration: Migration,
    models: Sequence[tuple[int, ModelState]],
    state: MigrationState,
    reason: str,
) -> None:
    """Moves models and migration in one round trip to the database, since searches wait as long as that takes.

    Raises `MigrationRefused` when any of the moves is not legal; then none is made.
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
    """Notes how long a move that has just been committed kept others from the migration and its models."""
    held = 1000 * (time.perf_counter() - began)
    with database.system() as connection:
        record.note(connection, number, "locks held", {"milliseconds": round(held, 2)})
        return record.get(connection, number)


def _model(connection: Connection[TupleRow], model_id: int, state: ModelState) -> None:
    try:
        catalogue.move(connection, model_id, state)
    except ModelConflict as error:
        raise MigrationRefused(f"the catalogue changed meanwhile: {error}") from error
