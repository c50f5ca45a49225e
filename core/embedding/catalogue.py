"""The catalogue of embedding models in the database: their descriptions and states.

A model's state says whether it embeds new content and whether it answers queries. `core/states.py` holds the legal
transitions, and Postgres enforces them. Models belong to the platform, not to a team.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow, class_row
from psycopg.types.json import Jsonb

from core.database import Database
from core.embedding import Embedder, EmbedderUnavailable, Vectors, known_answers, migration_requests, open_spec
from core.embedding.spec import BuiltIn, OnnxFile, Served, parse_spec
from core.states import ModelState

_COLUMNS = (
    "id, coalesce(name, identity) AS name, identity, dimensions, distance, state, spec, known_answers, "
    "created_at, state_at, retire_by"
)
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('penstock embedding models', 0))"
_REMEDY = "drop it, or make it use another table, before the vectors are deleted"
_REFERENCES = r"""
WITH kept AS (
    SELECT c.oid, c.reltype, m.table_name FROM embedding_models m JOIN pg_class c ON c.oid = to_regclass(m.table_name)
    WHERE m.id = %s
), found AS (
    SELECT coalesce(r.ev_class, k.conrelid, p.polrelid) AS relation, d.classid, d.objid, kept.oid AS own, table_name
    FROM kept JOIN pg_depend d ON (d.refclassid = 'pg_class'::regclass AND d.refobjid = kept.oid)
        OR (d.refclassid = 'pg_type'::regclass AND d.refobjid = kept.reltype)
    LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
    LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
    LEFT JOIN pg_policy p ON d.classid = 'pg_policy'::regclass AND p.oid = d.objid
    WHERE d.deptype = 'n'
    UNION
    SELECT NULL, 'pg_proc'::regclass, p.oid, kept.oid, table_name
    FROM kept JOIN pg_proc p ON p.prosrc ~ ('\m' || table_name || '\M')
)
SELECT DISTINCT CASE WHEN relation IS NULL THEN pg_describe_object(classid, objid, 0)
    ELSE pg_describe_object('pg_class'::regclass, relation, 0) END, table_name
FROM found WHERE relation IS DISTINCT FROM own ORDER BY 1
"""


class UnknownModel(LookupError):
    """No model of this name is registered; the message says how to add one."""


class ModelConflict(RuntimeError):
    """The model cannot be registered, moved or retired now; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A model of the catalogue. `spec` is None for a model that was used without being registered."""

    id: int
    name: str
    identity: str
    dimensions: int
    distance: str
    state: str
    spec: dict[str, Any] | None
    known_answers: bytes | None
    created_at: datetime
    state_at: datetime
    retire_by: datetime | None = None

    @property
    def answers(self) -> Vectors | None:
        """The stored known answers, shape (texts, dimensions)."""
        if self.known_answers is None:
            return None
        found: Vectors = np.frombuffer(self.known_answers, dtype="<f4").reshape(-1, self.dimensions)
        return found

    def description(self) -> BuiltIn | OnnxFile | Served:
        """Raises `EmbedderUnavailable` if the model was never registered or its description is not valid."""
        if self.spec is None:
            raise EmbedderUnavailable(f"{self.identity} was never registered: penstock models add {self.name}")
        return parse_spec(self.spec, f"the catalogue's description of {self.name}")


@dataclass(frozen=True, slots=True)
class Coverage:
    """The number of chunks in a source's visible index, and how many of them have a vector of a model."""

    team_id: object
    source: str
    chunks: int
    covered: int


def entries(connection: Connection[TupleRow]) -> list[Entry]:
    """Every model, oldest first."""
    with connection.cursor(row_factory=class_row(Entry)) as cursor:
        return cursor.execute(f"SELECT {_COLUMNS} FROM embedding_models ORDER BY id").fetchall()  # noqa: S608


def find(connection: Connection[TupleRow], name: str) -> Entry:
    """The model with this name or identity. If several have had the name, the one in use. Raises `UnknownModel`."""
    with connection.cursor(row_factory=class_row(Entry)) as cursor:
        found = cursor.execute(
            f"SELECT {_COLUMNS} FROM embedding_models WHERE name = %(name)s OR identity = %(name)s "  # noqa: S608
            "ORDER BY state = 'retired', id DESC LIMIT 1",
            {"name": name},
        ).fetchone()
    if found is None:
        raise UnknownModel(f"no embedding model {name!r} is registered; `penstock models list` shows those that are")
    return found


def by_id(connection: Connection[TupleRow], model_id: int) -> Entry:
    """Raises `UnknownModel`."""
    with connection.cursor(row_factory=class_row(Entry)) as cursor:
        found = cursor.execute(f"SELECT {_COLUMNS} FROM embedding_models WHERE id = %s", (model_id,)).fetchone()  # noqa: S608
    if found is None:
        raise UnknownModel(f"no embedding model has the id {model_id}")
    return found


def lock(connection: Connection[TupleRow]) -> None:
    """Makes other processes that change the catalogue wait until this transaction ends."""
    connection.execute(_LOCK)


def register(database: Database, spec: BuiltIn | OnnxFile | Served, *, threads: int = 0) -> Entry:
    """Computes the model's known answers and adds it to the catalogue. For a known model, updates its description.

    A description with `migrate` queues a migration to the model, unless it is in use already.
    Raises `EmbedderUnavailable` if the model cannot be reached or gives unusable vectors, and `ModelConflict` if the
    name belongs to another model.
    """
    embedder = open_spec(spec, threads=threads)
    answers = known_answers.ask(embedder)
    if isinstance(spec, Served) and spec.provider == "ollama" and spec.revision is None:
        spec = spec.model_copy(update={"revision": embedder.revision()})  # type: ignore[attr-defined]
    identity = open_spec(spec).identity
    stored = answers.astype("<f4").tobytes()
    with database.system() as connection:
        lock(connection)
        if (rival := _rival(connection, spec.name, identity)) is not None:
            raise ModelConflict(
                f"{spec.name} is registered as {rival}, but is now {identity}: it is another model; "
                "register it under another name, then migrate to it"
            )
        before = connection.execute(
            "SELECT state, known_answers FROM embedding_models WHERE identity = %s", (identity,)
        ).fetchone()
        connection.execute("SELECT add_embedding_model(%s, %s)", (identity, embedder.dimensions))
        if before and before[1] is not None and before[0] != ModelState.RETIRED:
            known_answers.check(embedder, np.frombuffer(before[1], dtype="<f4").reshape(answers.shape))
            stored = before[1]
        connection.execute(
            "UPDATE embedding_models SET name = %s, spec = %s, known_answers = %s WHERE identity = %s",
            (spec.name, Jsonb(spec.model_dump(mode="json")), stored, identity),
        )
        if before and before[0] == ModelState.RETIRED:
            connection.execute("UPDATE embedding_models SET retire_by = NULL WHERE identity = %s", (identity,))
        entry = find(connection, identity)
        if spec.migrate and entry.state == ModelState.REGISTERED:
            migration_requests.ask(connection, entry.id)
        return entry


def move(connection: Connection[TupleRow], model_id: int, state: ModelState) -> None:
    """Moves a model to a state, atomically. Raises `ModelConflict` for an illegal transition."""
    if state == ModelState.RETIRED:
        retire(connection, model_id)
        return
    try:
        with connection.transaction():
            connection.execute(
                "UPDATE embedding_models SET state = %s, state_at = now() WHERE id = %s AND state <> %s",
                (state, model_id, state),
            )
    except psycopg.errors.CheckViolation as error:
        raise ModelConflict(f"{_message(error)}: `penstock models show` shows its state") from error


def retire(connection: Connection[TupleRow], model_id: int) -> None:
    """Drops the model's vectors. Raises `ModelConflict` if it is still needed (see `check_not_needed`), or if queries
    lock its table for longer than two seconds."""
    connection.execute("SELECT FROM embedding_models WHERE id = %s FOR UPDATE", (model_id,))
    check_not_needed(connection, model_id)
    try:
        with connection.transaction():
            connection.execute("SELECT retire_embedding_model(%s)", (model_id,))
    except psycopg.errors.CheckViolation as error:
        raise ModelConflict(f"{_message(error)}: move it to draining first") from error
    except psycopg.errors.LockNotAvailable as error:
        raise ModelConflict("queries still use the model's vectors: try again") from error
    except psycopg.errors.DependentObjectsStillExist as error:
        raise ModelConflict(f"{error.diag.message_detail or _message(error)}: {_REMEDY}") from error


def check_no_migration(connection: Connection[TupleRow], model_id: int) -> None:
    """Raises `ModelConflict` while an open migration needs the model in its present state."""
    migration = connection.execute(
        "SELECT id FROM model_migrations WHERE state NOT IN ('done', 'cancelled', 'rolled-back') "
        "AND (new_model = %(model)s OR (old_model = %(model)s AND state <> 'draining'))",
        {"model": model_id},
    ).fetchone()
    if migration is not None:
        raise ModelConflict(f"migration {migration[0]} needs it: cancel it or roll it back first")


def check_not_needed(connection: Connection[TupleRow], model_id: int) -> None:
    """Raises `ModelConflict` while a migration needs the model, while no other serving model covers a source that it
    covers, or while another database object refers to its table."""
    check_no_migration(connection, model_id)
    if lost := only_cover(connection, model_id):
        shown = ", ".join(f"{one.source} ({one.covered} chunks)" for one in lost[:5])
        raise ModelConflict(
            f"no other serving model covers {shown}: refresh these sources, or migrate to another model first"
        )
    if found := references(connection, model_id):
        shown = ", ".join(one for one, _ in found[:5])
        verb = "refers" if len(found) == 1 else "refer"
        raise ModelConflict(f"{shown} {verb} to its table {found[0][1]}: {_REMEDY}")


def references(connection: Connection[TupleRow], model_id: int) -> list[tuple[str, str]]:
    """The database objects that refer to a model's table but are not part of it, as (object, table).

    Views, foreign keys, columns of its row type, and functions, including those that only name it in their source.
    """
    return connection.execute(_REFERENCES, (model_id,)).fetchall()


def reinstate(
    database: Database, identity: str, dimensions: int, name: str, spec: dict[str, Any] | None, answers: bytes | None
) -> Entry:
    """Makes a retired model `registered` again with its former description and an empty table. A registered model is
    left unchanged.

    Raises `ModelConflict` for a model in use, and if its name now belongs to another model.
    """
    with database.system() as connection:
        lock(connection)
        known = next((entry for entry in entries(connection) if entry.identity == identity), None)
        if known is not None and known.state not in (ModelState.RETIRED, ModelState.REGISTERED):
            raise ModelConflict(f"{known.name} is {known.state}: there is nothing to restore")
        if (rival := _rival(connection, name, identity)) is not None:
            raise ModelConflict(f"the name {name} now belongs to {rival}: retire that model first")
        connection.execute("SELECT add_embedding_model(%s, %s)", (identity, dimensions))
        connection.execute(
            "UPDATE embedding_models SET name = %s, spec = %s, known_answers = %s, retire_by = NULL "
            "WHERE identity = %s",
            (name if spec is not None else None, Jsonb(spec) if spec is not None else None, answers, identity),
        )
        return find(connection, identity)


def retire_by(connection: Connection[TupleRow], model_id: int, day: datetime | None) -> None:
    """Sets the time by which a model must be retired; None clears it."""
    connection.execute("UPDATE embedding_models SET retire_by = %s WHERE id = %s", (day, model_id))


def coverage(connection: Connection[TupleRow], model_id: int) -> list[Coverage]:
    """A model's coverage of each source of the teams that the connection may see."""
    with connection.cursor(row_factory=class_row(Coverage)) as cursor:
        return cursor.execute("SELECT * FROM embedding_coverage(%s)", (model_id,)).fetchall()


def only_cover(connection: Connection[TupleRow], model_id: int) -> list[Coverage]:
    """The sources that this model covers at least in part and no other serving model covers completely."""
    covered = [one for one in coverage(connection, model_id) if one.covered]
    if not covered:
        return []
    others = [e.id for e in entries(connection) if e.state == ModelState.SERVING and e.id != model_id]
    whole = {(c.team_id, c.source) for other in others for c in coverage(connection, other) if c.covered >= c.chunks}
    return [one for one in covered if (one.team_id, one.source) not in whole]


def opened(entry: Entry, *, threads: int = 0) -> Embedder:
    """The model, whose known answers are verified before its first use. Raises `EmbedderUnavailable`."""
    embedder = open_spec(entry.description(), threads=threads)
    if embedder.identity != entry.identity:
        raise EmbedderUnavailable(
            f"{entry.name} is registered as {entry.identity} but is now {embedder.identity}: its files or its "
            "description have changed; restore them, or register it under another name"
        )
    if entry.answers is None:
        return embedder
    again = known_answers.AGAIN_SECONDS if isinstance(entry.description(), Served) else None
    return known_answers.Verified(embedder, entry.answers, again)


def _rival(connection: Connection[TupleRow], name: str, identity: str) -> str | None:
    """The identity of another model that has this name and is not retired."""
    row = connection.execute(
        "SELECT identity FROM embedding_models WHERE name = %s AND state <> 'retired' AND identity <> %s",
        (name, identity),
    ).fetchone()
    return row[0] if row else None


def _message(error: psycopg.Error) -> str:
    return error.diag.message_primary or str(error)
