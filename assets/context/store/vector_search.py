"""Finds the chunks whose vectors are closest to a query's, by a model's HNSW index or by comparing one by one.

A search is sent when it is created and awaited when its hits are read, so that on a connection in pipeline
mode Postgres compares vectors while the caller continues.
"""

import math
from dataclasses import dataclass

import numpy as np
from psycopg import Connection, Cursor, sql
from psycopg.rows import TupleRow

from assets.context.ranking.index import Ints
from assets.context.store import binary
from assets.context.store.vector_table import VectorTable
from core.embedding import Vectors

EXACT_MOST = 20_000
"""Up to this many vectors, comparing each takes no longer than a search of the HNSW index."""

EF_SEARCH = 300
"""Candidates per search of the index; fewer are faster and find fewer of the true neighbours."""

_MOST_CANDIDATES = 20_000
_MOST_EF_SEARCH = 1000
"""The maximum that pgvector accepts for `hnsw.ef_search`."""

_COMPARISONS = 80
"""A candidate from the index takes as long as comparing this many vectors one by one."""

_OVERSAMPLING = 1.15
"""Oversampling factor: how many times the candidates that a source's share of the index implies are fetched, since
near vectors are not spread evenly over sources."""

# Forbids plans that sort a short table instead of searching the index.
_PREPARE = """
SELECT set_config('hnsw.ef_search', %(effort)s, true), set_config('hnsw.iterative_scan', 'relaxed_order', true),
       set_config('hnsw.max_scan_tuples', '40000', true), set_config('enable_seqscan', 'off', true),
       set_config('enable_bitmapscan', 'off', true), set_config('enable_sort', 'off', true)
"""
_AFTER = """
SELECT set_config('enable_seqscan', 'on', true), set_config('enable_bitmapscan', 'on', true),
       set_config('enable_sort', 'on', true)
"""
_INDEX = """
SELECT content_id, chunk, -(embedding <#> %(query)b) FROM {table} WHERE content_id <= {indexed_to}
ORDER BY embedding::halfvec({width}) <#> %(query)b::halfvec({width}) LIMIT %(limit)s
"""
_SCAN = """
SELECT content_id, chunk, -(embedding <#> %(query)b) FROM {table}
ORDER BY (embedding <#> %(query)b) + 0 LIMIT %(limit)s
"""

Hit = tuple[int, int, float]
"""Content, chunk and inner product."""


class VectorSearch:
    """A search for one query among some contents of one model's table."""

    def __init__(
        self,
        connection: Connection[TupleRow],
        table: VectorTable,
        query: Vectors,
        contents: Ints,
        sizes: Ints,
        count: int,
    ) -> None:
        """Sends the search. `contents` are ids, ascending; `sizes` are their numbers of chunks.

        The HNSW index is searched if it holds more than `EXACT_MOST` of these vectors; contents stored after it was
        built are then compared one by one.
        """
        binary.register(connection)
        self._connection, self._table, self._contents, self._count = connection, table, contents, count
        self._width, self._query = len(query), query
        self._vectors = int(sizes.sum())
        self._sent: _Sent | None = None
        alone = contents
        if self._vectors > EXACT_MOST:
            indexed = contents <= table.indexed_to
            held = int(sizes[indexed].sum())
            if held > EXACT_MOST:
                # Candidates of other sources don't count: at least half of EF_SEARCH must be of these contents.
                enough = max(count, EF_SEARCH // 2)
                limit = max(EF_SEARCH, math.ceil(_OVERSAMPLING * enough * max(1.0, table.indexed / held)))
                self._sent = self._send(_INDEX, contents[indexed], limit, enough)
                alone = contents[~indexed]
            else:
                self._sent = self._send(_SCAN, contents, max(EF_SEARCH, count), count)
                alone = contents[:0]
        if self._sent is None:
            alone = contents
        self._compared = self._compare(alone) if len(alone) else None

    def hits(self) -> list[Hit]:
        """At most `count` closest chunks, best first."""
        found = self._receive(self._sent) if self._sent else []
        if found is None:
            found, self._compared = [], self._compare(self._contents)
        if self._compared is not None:
            found += [(row[0], row[1], row[2]) for row in self._compared.fetchall()]
        return sorted(found, key=lambda hit: (-hit[2], hit[0], hit[1]))[: self._count]

    def _compare(self, contents: Ints) -> Cursor[TupleRow]:
        """Sends a comparison with every vector of `contents`."""
        # Adding 0 keeps Postgres from using the index, which would filter only after the search.
        statement = sql.SQL(
            "SELECT content_id, chunk, -(embedding <#> %b) AS similarity FROM {} WHERE content_id = ANY(%b) "
            "ORDER BY (embedding <#> %b) + 0 LIMIT %s"
        ).format(self._table.name)
        parameters = (self._query, binary.bigints(contents), self._query, self._count)
        return self._connection.execute(statement, parameters, binary=True)

    def _send(self, statement: str, contents: Ints, limit: int, enough: int) -> "_Sent | None":
        """Sends a search for the `limit` closest of all the team's sources; None above `_MOST_CANDIDATES`."""
        if limit > _MOST_CANDIDATES:
            return None
        composed = sql.SQL(statement).format(
            table=self._table.name, indexed_to=sql.Literal(self._table.indexed_to), width=sql.Literal(self._width)
        )
        if statement == _INDEX:
            self._connection.execute(_PREPARE, {"effort": str(min(limit, _MOST_EF_SEARCH))})
        rows = self._connection.execute(composed, {"query": self._query, "limit": limit}, binary=True)
        if statement == _INDEX:
            self._connection.execute(_AFTER)
        return _Sent(statement, contents, limit, enough, rows)

    def _receive(self, sent: "_Sent | None") -> list[Hit] | None:
        """The hits among the wanted contents, searched with growing limits until there are enough. None if that would
        take longer than comparing all."""
        while sent is not None:
            rows = sent.rows.fetchall()
            ids = np.array([row[0] for row in rows], dtype=np.int64)
            wanted = sent.contents
            live = wanted[np.minimum(np.searchsorted(wanted, ids), len(wanted) - 1)] == ids
            if int(live.sum()) >= sent.enough or len(rows) < sent.limit:
                return [(rows[n][0], rows[n][1], rows[n][2]) for n in np.flatnonzero(live)]
            more = math.ceil(_OVERSAMPLING * sent.limit * sent.enough / max(1, int(live.sum())))
            # If the query is nearer to other sources, few candidates are of this one, and not its nearest.
            if sent.statement == _INDEX and more * _COMPARISONS > self._vectors:
                return None
            sent = self._send(sent.statement, wanted, max(more, 2 * sent.limit), sent.enough)
        return None


@dataclass(frozen=True, slots=True)
class _Sent:
    statement: str
    contents: Ints
    limit: int
    enough: int
    rows: Cursor[TupleRow]


def nearest(
    connection: Connection[TupleRow], table: VectorTable, query: Vectors, contents: Ints, sizes: Ints, count: int
) -> list[Hit]:
    """Sends a `VectorSearch` and waits for its hits."""
    return VectorSearch(connection, table, query, contents, sizes, count).hits()
