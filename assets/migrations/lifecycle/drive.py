"""Advances a migration from stage to stage until it is done or waits: for time, an operator or a server.

A job or a command calls it repeatedly, and each call resumes from the migration's row. One driver runs at a time; its
lock belongs to a transaction and ends with the process. A temporary failure leaves the migration in its state with the
reason; proof that the new model is broken pauses it.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg

from assets.context.models import model_vectors
from assets.migrations.backfill import stage as backfill
from assets.migrations.backfill.build import Stopped, build
from assets.migrations.gate import evidence, observe, queries
from assets.migrations.gate.judge import ask_both, judge_models
from assets.migrations.lifecycle import record, switch
from assets.migrations.lifecycle.record import Migration, MigrationRefused, TimelineEvent
from assets.migrations.report import wording
from assets.migrations.retirement.archive import ArchiveFailed
from assets.migrations.retirement.retire import FOLDER
from assets.platform import Platform
from core.embedding import Embedder, EmbedderUnavailable, WrongAnswer, catalogue
from core.health import migration_health
from core.states import MigrationState, ModelState

_log = logging.getLogger(__name__)

_LOCK = "penstock model migrations"

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Driven:
    """The migration after a call, and what it now waits for ("" when it is closed)."""

    migration: Migration
    waits_for: str


def drive(platform: Platform, number: int, *, tell: Tell = lambda text: None) -> Driven:
    """Does all work that can be done now. Raises `MigrationRefused` while another process drives migrations."""
    with _only_driver(platform):
        for _ in range(len(MigrationState) + 2):
            with platform.database.system() as connection:
                migration = record.get(connection, number)
            if not migration.is_open:
                return Driven(migration, "")
            if migration.paused:
                return Driven(migration, f"an operator: it is paused ({migration.reason or 'by command'})")
            try:
                waits_for = _stage(platform, migration, tell)
            except WrongAnswer as error:
                switch.pause(platform.database, number, True, str(error), by_itself=True)
                continue
            except EmbedderUnavailable as error:
                return _waiting(platform, number, f"a model: {error}")
            except psycopg.errors.DiskFull as error:
                why = f"the database's disk is full: {error}".strip()
                try:
                    switch.pause(platform.database, number, True, why, by_itself=True)
                except psycopg.errors.DiskFull:  # not even the pause can be written
                    _log.error("migration %d cannot continue: %s", number, why)
                    return Driven(migration, f"disk space: {why}; it continues once there is some")
                continue
            except ArchiveFailed as error:
                switch.pause(platform.database, number, True, str(error), by_itself=True)
                continue
            except Stopped:
                continue
            except MigrationRefused as error:
                with platform.database.system() as connection:
                    if record.get(connection, number).state != migration.state:
                        continue  # moved by another process between our read and our write
                return _waiting(platform, number, str(error))
            if waits_for:
                return _waiting(platform, number, waits_for)
    raise TimeoutError(f"migration {number} did not settle: it changed state too often")


def waits_since(migration: Migration, now: datetime) -> str | None:
    """What an open migration waits for; None when driving it now would do work."""
    if migration.paused:
        return "an operator: it is paused"
    waits = migration_health.waits_for(
        migration.state,
        migration.options,
        clear=_clear(migration.comparison or {}),
        looked=(migration.observation or {}).get("at"),
        state_at=migration.state_at,
        now=now,
    )
    if waits == migration_health.OPERATOR:
        return "an operator: cut over or cancel it"
    if waits == migration_health.TIME:
        observing = migration.state == MigrationState.OBSERVING
        return (
            f"time: {'the new model is being observed' if observing else 'running searches may read the old vectors'}"
        )
    return None


def is_a_look(migration: Migration, now: datetime) -> bool:
    """Whether all that driving would do is to look at live searches, which takes seconds."""
    observing = migration.state == MigrationState.OBSERVING
    return observing and (now - migration.state_at).total_seconds() < migration.chosen.observe_seconds


def drive_stalled(migration: Migration, events: Sequence[TimelineEvent], now: datetime) -> str | None:
    """Why an operator should look at an open migration: a fault has paused it, or it has long done nothing although
    there is work; else None."""
    if migration.is_open and migration.paused:
        pauses = [event.body for event in events if event.kind == "paused"]
        return migration_health.paused_by_itself(pauses[-1] if pauses else {})
    if not migration.is_open or waits_since(migration, now) is not None:
        return None
    moved = [event.at for event in events if event.kind != "waits"]
    quiet = (now - max([migration.state_at, *moved])).total_seconds()
    return migration_health.stalled(quiet, migration.options, migration.reason or "")


@contextlib.contextmanager
def _only_driver(platform: Platform) -> Iterator[None]:
    with platform.database.system() as holder:
        holder.execute("SELECT set_config('idle_in_transaction_session_timeout', '0', true)")
        row = holder.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", (_LOCK,)).fetchone()
        if row is None or not row[0]:
            raise MigrationRefused("another process is driving the migration")
        yield


def _waiting(platform: Platform, number: int, reason: str) -> Driven:
    with platform.database.system() as connection:
        before = record.get(connection, number)
        if before.reason != reason:
            record.write(connection, number, reason=reason)
            record.note(connection, number, "waits", {"for": reason})
        return Driven(record.get(connection, number), reason)


def _stage(platform: Platform, migration: Migration, tell: Tell) -> str:
    """Does the work of the migration's state. Returns what it waits for, or "" when it has changed state."""
    state = migration.state
    _check_models(platform, migration)
    if state == MigrationState.BUILDING:
        backfill.backfill(platform, migration, _stop_check(platform, migration), tell)
        return ""
    if state == MigrationState.SHADOWING:
        return _compare(platform, migration, tell)
    if state == MigrationState.JUDGED:
        return _decide(platform, migration, tell)
    if state == MigrationState.OBSERVING:
        return _observe(platform, migration, tell)
    if state == MigrationState.DRAINING:
        left = migration.chosen.drain_seconds - _age(migration)
        if left > 0:
            return f"time: running searches may use {migration.old_name} for {left:.0f} s more"
        tell(f"retiring {migration.old_name}")
        switch.finish(platform.database, migration.id, platform.settings.home / FOLDER)
        return ""
    raise MigrationRefused(f"migration {migration.id} is {state}, which has no work")


_EXPECTED = {
    MigrationState.BUILDING: (ModelState.SERVING, ModelState.BUILDING),
    MigrationState.SHADOWING: (ModelState.SERVING, ModelState.BUILDING),
    MigrationState.JUDGED: (ModelState.SERVING, ModelState.BUILDING),
    MigrationState.OBSERVING: (ModelState.BUILDING, ModelState.SERVING),
    MigrationState.DRAINING: (ModelState.DRAINING, ModelState.SERVING),
}
"""By the migration's state: the states of its old and its new model."""


def _check_models(platform: Platform, migration: Migration) -> None:
    """Raises `MigrationRefused` when the state of one of its models was changed outside of the migration."""
    expected = _EXPECTED.get(MigrationState(migration.state))
    if expected is None:
        return
    with platform.database.system() as connection:
        if record.get(connection, migration.id).state != migration.state:
            return  # moved meanwhile, together with its models: the next round reads it
        found = [catalogue.by_id(connection, number) for number in (migration.old_model, migration.new_model)]
    way_back = "rollback" if migration.state in (MigrationState.OBSERVING, MigrationState.DRAINING) else "cancel"
    for entry, wanted in zip(found, expected, strict=True):
        if entry.state != wanted:
            raise MigrationRefused(
                f"{entry.name} is {entry.state}, but a migration that is {migration.state} needs it to be {wanted}: "
                f"penstock migrate {way_back}"
            )


def _compare(platform: Platform, migration: Migration, tell: Tell) -> str:
    options, database = migration.chosen, platform.database
    old = _opened(platform, migration.old_model)
    new = _opened(platform, migration.new_model)
    with database.system() as connection:
        judged = queries.judged_queries(connection, platform.mirror, options.queries)
        asked = model_vectors.asked_queries(connection, options.queries)
        sources = [source for _, source, _ in model_vectors.visible_sources(connection)]
    tell(f"querying both models: {len(judged)} judged and {len(asked)} user queries")
    answers = ask_both(database, old, new, judged, asked, options.k, _stop_check(platform, migration))
    evals = evidence.update(platform, migration)
    look = 1 + int((migration.comparison or {}).get("look", 1 if migration.comparison else 0))
    result = judge_models(
        answers,
        k=options.k,
        margin=options.margin,
        seed=migration.id,
        evals=evals,
        look=look,
        sources=sources,
        slower=options.slower,
    )
    with database.system() as connection:
        result["storage_bytes"] = {
            "old": _table_bytes(connection, migration.old_model),
            "new": _table_bytes(connection, migration.new_model),
        }
        record.get(connection, migration.id, lock=True)
        record.write(connection, migration.id, comparison=result)
        record.note(
            connection, migration.id, "compared", {key: result[key] for key in ("verdict", "reason", "queries")}
        )
        record.move(
            connection, migration, MigrationState.JUDGED, f"the gate says {result['verdict']}: {result['reason']}"
        )
    tell(f"the gate says {result['verdict']}: {result['reason']}")
    return ""


def _decide(platform: Platform, migration: Migration, tell: Tell) -> str:
    comparison = migration.comparison or {}
    # Content indexed while the model's server was away or the decision was pending.
    options, new = migration.chosen, _opened(platform, migration.new_model)
    build(platform.database, new, share=options.share, nice=options.nice, check=_stop_check(platform, migration))
    with platform.database.system() as connection:
        model_vectors.note_complete(connection, migration.new_model)
    if not comparison.get("safe"):
        return wording.waits_for_operator(comparison, options.queries)
    if not options.automatic or not _clear(comparison):
        return wording.waits_for_consent(comparison)
    switch.cut_over(platform.database, migration.id, by="the gate")
    tell(f"{migration.new_name} answers searches from now on")
    return ""


def _clear(comparison: Mapping[str, Any]) -> bool:
    """Whether the comparison leaves nothing to an operator: it is safe, and searches do not become much slower."""
    return bool(comparison.get("safe")) and comparison.get("slower") is None


def _observe(platform: Platform, migration: Migration, tell: Tell) -> str:
    found = observe.observe(platform, migration)
    with platform.database.system() as connection:
        record.write(connection, migration.id, observation=found.as_dict())
    if found.problem:
        switch.roll_back(platform.database, migration.id, f"automatically: {found.problem}")
        tell(f"rolled back to {migration.old_name}: {found.problem}")
        return ""
    left = migration.chosen.observe_seconds - _age(migration)
    if left > 0:
        return f"time: {migration.old_name} is kept ready for {left:.0f} s more"
    switch.drain(platform.database, migration.id)
    tell(f"{migration.old_name} gets no more vectors")
    return ""


def _opened(platform: Platform, model_id: int) -> Embedder:
    with platform.database.system() as connection:
        return platform.models.open(catalogue.by_id(connection, model_id))


def _stop_check(platform: Platform, migration: Migration) -> Callable[[], None]:
    last = time.monotonic()

    def check() -> None:
        nonlocal last
        if time.monotonic() - last < backfill.SAVE_SECONDS:
            return
        last = time.monotonic()
        with platform.database.system() as connection:
            now = record.get(connection, migration.id)
        if now.paused or now.state != migration.state:
            raise Stopped("paused or cancelled")

    return check


def _age(migration: Migration) -> float:
    return (datetime.now(UTC) - migration.state_at).total_seconds()


def _table_bytes(connection: Any, model_id: int) -> int:
    row = connection.execute(
        "SELECT pg_total_relation_size(to_regclass(table_name)) FROM embedding_models WHERE id = %s", (model_id,)
    ).fetchone()
    return int(row[0] or 0) if row else 0
