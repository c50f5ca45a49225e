"""HNSW indexes over the vectors of each model, built after the load and outside of any refresh.

An index holds the contents up to a certain id and is never built while vectors go in: inserting into an
HNSW graph takes a millisecond a vector, a hundred times what the row takes. What comes later is
compared one by one until the next index, which covers it too, is there; then the one before is dropped.

`CREATE INDEX CONCURRENTLY`, since a plain one would make every refresh of every team wait for it. That
cannot run inside a function, so it needs a connection as the owner of the tables, which the runtime's
login is not: whoever calls this has the owner's address.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

import psycopg
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from assets.context.store.vector_search import EXACT_MOST
from core.database import Database

NEIGHBOURS = 24
EF_CONSTRUCTION = 200
"""With fewer candidates, the graph of sources that differ much can fall into parts between which a search is lost."""

GROWTH = 0.1
"""An index is replaced when this share of its vectors has come since, and at least `EXACT_MOST`."""

LOCK_WAIT = "30s"
_MEMORY_MOST = 2 << 30
_MEMORY_LEAST = 64 << 20

_TABLES = "SELECT identity, table_name, dimensions FROM embedding_models WHERE to_regclass(table_name) IS NOT NULL"
_INDEXES = """
SELECT c.relname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = to_regclass(%s) AND i.indpred IS NOT NULL
"""


@dataclass(frozen=True)
class BuiltIndex:
    model: str
    vectors: int
    seconds: float


def build_vector_indexes(
    database: Database,
    owner_url: str,
    *,
    least: int = EXACT_MOST,
    before_build: Callable[[str], None] = lambda model: None,
) -> list[BuiltIndex]:
    """Builds what is due, one model after the other, and returns that. `owner_url` is of `database`.

    Does nothing for a model that another process is at. What a killed build left is dropped. Raises
    `psycopg.errors.LockNotAvailable` when a transaction held its table for too long, and
    `psycopg.errors.InsufficientPrivilege` when the address is not the owner's: nothing is lost then.
    """
    built = []
    with psycopg.connect(owner_url, autocommit=True, connect_timeout=10) as connection:
        connection.execute("SET search_path = penstock, public")
        connection.execute("SET ROLE penstock_owner")
        connection.execute("SELECT set_config('lock_timeout', %s, false)", (LOCK_WAIT,))
        for identity, table, dimensions in connection.execute(_TABLES).fetchall():
            name = f"penstock vector index {table}"
            row = connection.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (name,)).fetchone()
            if row is None or not row[0]:
                continue
            try:
                before_build(identity)
                if made := _build(database, connection, identity, table, dimensions, least):
                    built.append(made)
            finally:
                connection.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", (name,))
    return built


def _build(
    database: Database, connection: Connection[TupleRow], identity: str, table: str, dimensions: int, least: int
) -> BuiltIndex | None:
    known = connection.execute(_INDEXES, (table,)).fetchall()
    valid = sorted(_bound(name) for name, is_valid in known if is_valid and _bound(name))
    for name, is_valid in known:
        if _bound(name) and (not is_valid or _bound(name) != valid[-1]):
            connection.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.Identifier(name)))
    indexed_to = valid[-1] if valid else 0
    covered, later, newest = _count(database, table, indexed_to)
    if later <= max(least, int(covered * GROWTH)):
        return None
    vectors = covered + later
    # The graph is built in memory as long as it fits (beyond, it takes many times as long): a vector is some
    # 16-bit numbers and its links, of 16 bytes, twice as many on the lowest layer as above.
    memory = min(_MEMORY_MOST, max(_MEMORY_LEAST, vectors * (2 * dimensions + 48 * NEIGHBOURS + 256) * 5 // 4))
    connection.execute("SELECT set_config('maintenance_work_mem', %s, false)", (f"{memory >> 10}kB",))
    began = time.monotonic()
    connection.execute(
        sql.SQL(
            "CREATE INDEX CONCURRENTLY {} ON {} USING hnsw ((embedding::halfvec({})) halfvec_ip_ops) "
            "WITH (m = {}, ef_construction = {}) WHERE content_id <= {}"
        ).format(
            sql.Identifier(f"{table}_to_{newest}"),
            sql.Identifier(table),
            sql.Literal(dimensions),
            sql.Literal(NEIGHBOURS),
            sql.Literal(EF_CONSTRUCTION),
            sql.Literal(newest),
        )
    )
    if indexed_to:
        old = sql.Identifier(f"{table}_to_{indexed_to}")
        connection.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(old))
    return BuiltIndex(identity, vectors, time.monotonic() - began)


def _count(database: Database, table: str, indexed_to: int) -> tuple[int, int, int]:
    """(vectors up to the id, vectors beyond it, the highest content id), of all teams."""
    statement = sql.SQL(
        "SELECT count(*) FILTER (WHERE content_id <= %(to)s), count(*) FILTER (WHERE content_id > %(to)s), "
        "coalesce(max(content_id), 0) FROM {}"
    ).format(sql.Identifier(table))
    with database.system() as connection:
        row = connection.execute(statement, {"to": indexed_to}).fetchone()
    return (int(row[0]), int(row[1]), int(row[2])) if row else (0, 0, 0)


def _bound(name: str) -> int:
    """The highest content id that an index of ours holds; 0 for any other index."""
    found = re.search(r"_to_(\d+)$", name)
    return int(found[1]) if found else 0
