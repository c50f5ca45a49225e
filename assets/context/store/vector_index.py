"""Builds HNSW indexes over the vectors of each model, outside of any refresh.

An index holds the contents up to a certain id; vectors written later are not inserted into it, because that
takes about 1 ms per vector, a hundred times as long as writing the row. They are compared one by one until the
next index, which includes them, has been built; then the previous one is dropped.

`CREATE INDEX CONCURRENTLY` is used, since a plain build would block every refresh of every team. It cannot run
inside a function, so it needs a connection as the owner of the tables, which the runtime's login is not: the
caller passes the owner's URL.
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
"""With fewer candidates, the graph over very different sources can become disconnected, and a search misses parts."""

GROWTH = 0.1
"""An index is replaced when more than this share of its vectors, and more than `EXACT_MOST`, were added since."""

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
    """Builds the indexes that are due, one model after the other, and returns them.

    `owner_url` connects to `database` as the owner of its tables. Skips a model that another process is building.
    Drops the invalid index of a killed build. Raises `psycopg.errors.LockNotAvailable` when a transaction locks
    the table for longer than `LOCK_WAIT`, and `psycopg.errors.InsufficientPrivilege` when `owner_url` is not the
    owner's; existing indexes are then unchanged.
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
    # A build is many times slower once the graph exceeds this memory. Each vector takes 2 bytes per dimension and
    # its links, of 16 bytes each: twice `NEIGHBOURS` on the lowest layer, `NEIGHBOURS` on each layer above.
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
    """(vectors up to content id `indexed_to`, vectors beyond it, the highest content id), over all teams."""
    statement = sql.SQL(
        "SELECT count(*) FILTER (WHERE content_id <= %(to)s), count(*) FILTER (WHERE content_id > %(to)s), "
        "coalesce(max(content_id), 0) FROM {}"
    ).format(sql.Identifier(table))
    with database.system() as connection:
        row = connection.execute(statement, {"to": indexed_to}).fetchone()
    return (int(row[0]), int(row[1]), int(row[2])) if row else (0, 0, 0)


def _bound(name: str) -> int:
    """The highest content id in an index built by this module, from its name; 0 for any other index."""
    found = re.search(r"_to_(\d+)$", name)
    return int(found[1]) if found else 0
