"""Deletes contents that no retained version of any source refers to, with their chunks, postings and vectors.

Safe during a refresh, which may find a content and refer to it some time later: a content is marked first,
`contents.find_contents` removes the mark, and only contents marked for a day are deleted. No refresh takes
that long.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from assets.context.store import segments
from core.database import Database

GRACE = timedelta(days=1)
READERS = timedelta(hours=1)
"""No query takes that long."""

BATCH = 500
MOST_BATCHES = 2000

_REFERENCES = """
SELECT c.conrelid::regclass::text, a.attname FROM pg_constraint c
JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
WHERE c.contype = 'f' AND c.confrelid = 'contents'::regclass AND c.confdeltype <> 'c' ORDER BY 1, 2
"""
_TABLES = "SELECT table_name FROM embedding_models WHERE to_regclass(table_name) IS NOT NULL"


@dataclass(frozen=True)
class Pruned:
    """Numbers of contents and segments. `marked` contents are deleted at the first run a day later, unless they are
    referred to again; `kept` were marked and are referred to again."""

    marked: int = 0
    kept: int = 0
    deleted: int = 0
    segments: int = 0


def prune_contents(
    database: Database, team_id: uuid.UUID, *, grace: timedelta = GRACE, readers: timedelta = READERS
) -> Pruned:
    """Marks and deletes the garbage of one team, in small transactions. Can be killed and run again at any time."""
    with database.team(team_id) as connection:
        unused = _unused(connection)
        kept = connection.execute(
            sql.SQL("UPDATE contents c SET unused_since = NULL WHERE unused_since IS NOT NULL AND NOT ({})").format(
                unused
            )
        ).rowcount
    deleted = 0
    thinned: dict[int, int] = {}
    for _ in range(MOST_BATCHES):
        try:
            with database.team(team_id) as connection:
                gone = _delete(connection, unused, grace)
        except psycopg.errors.ForeignKeyViolation:
            break  # a version staged just now refers to one of them: the next run sees that
        deleted += len(gone)
        for _, segment, chunks in gone:
            thinned[segment] = thinned.get(segment, 0) + chunks
        if len(gone) < BATCH:
            break
    with database.team(team_id) as connection:
        marked = connection.execute(
            sql.SQL("UPDATE contents c SET unused_since = now() WHERE unused_since IS NULL AND {}").format(unused)
        ).rowcount
    _rewrite(database, team_id, thinned)
    with database.team(team_id) as connection:
        dropped = _drop_segments(connection, list(thinned), readers)
    return Pruned(marked, kept, deleted, dropped)


def unused_contents(connection: Connection[TupleRow], grace: timedelta = GRACE) -> tuple[int, int, datetime | None]:
    """Of the transaction's team: how many contents `prune_contents` would delete now, how many it would only mark, and
    when the oldest of the former was marked."""
    row = connection.execute(
        sql.SQL(
            "SELECT count(*) FILTER (WHERE unused_since < now() - %s::interval), "
            "count(*) FILTER (WHERE unused_since IS NULL), "
            "min(unused_since) FILTER (WHERE unused_since < now() - %s::interval) FROM contents c WHERE {}"
        ).format(_unused(connection)),
        (grace, grace),
    ).fetchone()
    return (int(row[0]), int(row[1]), row[2]) if row else (0, 0, None)


def _unused(connection: Connection[TupleRow]) -> sql.Composable:
    """A condition: no row refers to the content `c`, apart from rows that are deleted with it."""
    references = connection.execute(_REFERENCES).fetchall()
    return sql.SQL(" AND ").join(
        sql.SQL("NOT EXISTS (SELECT FROM {} r WHERE r.{} = c.id)").format(
            sql.Identifier(table.rpartition(".")[2]), sql.Identifier(column)
        )
        for table, column in references
    )


def _delete(connection: Connection[TupleRow], unused: sql.Composable, grace: timedelta) -> list[TupleRow]:
    """Deletes up to a batch; returns (id, segment, number of chunks) of each."""
    gone = connection.execute(
        sql.SQL(
            "DELETE FROM contents WHERE id IN (SELECT id FROM contents c WHERE unused_since < now() - %s::interval "
            "AND {} ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED) RETURNING id, segment, cardinality(lengths)"
        ).format(unused),
        (grace, BATCH),
    ).fetchall()
    if gone:
        ids = [row[0] for row in gone]
        for (table,) in connection.execute(_TABLES).fetchall():
            connection.execute(
                sql.SQL("DELETE FROM {} WHERE content_id = ANY(%b)").format(sql.Identifier(table)), (ids,)
            )
    return gone


def _rewrite(database: Database, team_id: uuid.UUID, thinned: dict[int, int]) -> None:
    """Rewrites segments that have lost at least half of their chunks."""
    for segment, lost in sorted(thinned.items()):
        with database.team(team_id) as connection:
            row = connection.execute(
                "SELECT sum(cardinality(lengths)) FROM contents WHERE segment = %s", (segment,)
            ).fetchone()
            if row and row[0] and row[0] <= lost:
                segments.merge(connection, team_id, [segment])


def _drop_segments(connection: Connection[TupleRow], touched: Sequence[int], readers: timedelta) -> int:
    """Deletes the postings of segments that were replaced longer than `readers` ago or have no content left."""
    rows = connection.execute(
        "DELETE FROM replaced_segments WHERE replaced_at < now() - %s::interval RETURNING segment", (readers,)
    ).fetchall()
    empty = connection.execute(
        "SELECT s FROM unnest(%s::bigint[]) AS s WHERE NOT EXISTS (SELECT FROM contents c WHERE c.segment = s) "
        "AND NOT EXISTS (SELECT FROM replaced_segments r WHERE r.segment = s)",
        (list(touched),),
    ).fetchall()
    dropped = sorted({row[0] for row in rows + empty})
    connection.execute("DELETE FROM postings WHERE segment = ANY(%s)", (dropped,))
    return len(dropped)
