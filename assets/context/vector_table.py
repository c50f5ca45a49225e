"""Vectors in Postgres: one typed table per model, written and read in pgvector's binary form.

Row-level security rules out COPY, so rows go in as binary arrays, which are as compact.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from assets.context import binary
from assets.context.index import Ints
from core.embedding import Embedder, Vectors

EXACT_MOST = 20_000
"""Up to so many vectors, comparing each takes no longer than a search of the HNSW index."""

EF_SEARCH = 200
"""Candidates that a search of the index keeps; fewer are faster and find fewer of the true neighbours."""

_MOST_LOOKED_AT = 20_000
_MOST_EFFORT = 1000
"""What pgvector allows for `hnsw.ef_search`."""

_SPARE = 1.15
"""So many times the candidates that a source's share of the index lets expect, since nearness is not spread evenly."""

_FIND = r"""
SELECT m.id, m.table_name, 'vector'::regtype::oid, coalesce(built.bound, 0), coalesce(built.vectors, 0)
FROM embedding_models m LEFT JOIN LATERAL (
  SELECT substring(c.relname FROM '_to_(\d+)$')::bigint AS bound, greatest(c.reltuples, 0)::bigint AS vectors
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
  WHERE i.indrelid = to_regclass(m.table_name) AND i.indisvalid AND i.indpred IS NOT NULL AND c.relname ~ '_to_\d+$'
  ORDER BY 1 DESC LIMIT 1
) built ON true WHERE m.identity = %s
"""
# Plans that would sort a short table instead of searching the index are ruled out meanwhile.
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
SELECT content_id, chunk, -(embedding <#> %(query)b::vector) FROM {table} WHERE content_id <= {indexed_to}
ORDER BY embedding::halfvec({width}) <#> %(query)b::vector::halfvec({width}) LIMIT %(limit)s
"""
_SCAN = """
SELECT content_id, chunk, -(embedding <#> %(query)b::vector) FROM {table}
ORDER BY (embedding <#> %(query)b::vector) + 0 LIMIT %(limit)s
"""

Hit = tuple[int, int, float]
"""Content, chunk and inner product."""


@dataclass(frozen=True, slots=True)
class VectorTable:
    """The table of one model. `element` is the type number of `vector` in this database. Contents up to the
    id `indexed_to` are in its HNSW index, of about so many vectors; both are 0 when there is none."""

    model_id: int
    identity: str
    name: sql.Identifier
    element: int
    indexed_to: int = 0
    indexed: int = 0

    @classmethod
    def of(cls, connection: Connection[TupleRow], embedder: Embedder) -> "VectorTable":
        """The model's table, made if this is its first use."""
        connection.execute("SELECT add_embedding_model(%s, %s)", (embedder.identity, embedder.dimensions))
        found = cls.find(connection, embedder.identity)
        if found is None:
            raise LookupError(f"embedding model {embedder.identity} is not in the catalogue")
        return found

    @classmethod
    def find(cls, connection: Connection[TupleRow], identity: str) -> "VectorTable | None":
        row = connection.execute(_FIND, (identity,)).fetchone()
        return cls(row[0], identity, sql.Identifier(row[1]), *row[2:]) if row else None

    def insert(
        self,
        connection: Connection[TupleRow],
        team_id: object,
        contents: Sequence[int] | Ints,
        chunks: Sequence[int] | Ints,
        vectors: Vectors,
    ) -> None:
        """Writes one vector for each (content, chunk); those that are there already stay."""
        if not len(vectors):
            return
        statement = sql.SQL(
            "INSERT INTO {} (team_id, content_id, chunk, embedding) "
            "SELECT %s, * FROM unnest(%b::bigint[], %b::integer[], %b::vector[]) ON CONFLICT DO NOTHING"
        ).format(self.name)
        binary.register(connection)
        arrays = (binary.bigints(contents), binary.integers(chunks), binary.vectors(vectors, self.element))
        connection.execute(statement, (team_id, *arrays))

    def lacking(self, connection: Connection[TupleRow], contents: Sequence[int]) -> list[int]:
        """Those of `contents` that have chunks but no vectors of this model."""
        statement = sql.SQL(
            "SELECT id FROM contents WHERE id = ANY(%s) AND cardinality(lengths) > 0 "
            "AND NOT EXISTS (SELECT FROM {} v WHERE v.content_id = contents.id) ORDER BY id"
        ).format(self.name)
        return [row[0] for row in connection.execute(statement, (list(contents),)).fetchall()]

    def has_any(self, connection: Connection[TupleRow], source: dict[str, object]) -> bool:
        """Whether any file of one source and version has vectors of this model."""
        statement = sql.SQL(
            "SELECT 1 FROM {} v WHERE v.content_id IN (SELECT content_id FROM source_files WHERE team_id = %(team)s "
            "AND source = %(source)s AND since <= %(version)s AND (until IS NULL OR until > %(version)s)) LIMIT 1"
        ).format(self.name)
        return connection.execute(statement, source).fetchone() is not None

    def counts(self, connection: Connection[TupleRow], source: dict[str, object]) -> list[tuple[int, int]]:
        """(content, how many vectors it has) of the contents of one source and version that have any."""
        statement = sql.SQL(
            "SELECT v.content_id, count(*) FROM {} v WHERE v.content_id IN (SELECT content_id FROM source_files "
            "WHERE team_id = %(team)s AND source = %(source)s AND since <= %(version)s "
            "AND (until IS NULL OR until > %(version)s)) GROUP BY v.content_id"
        ).format(self.name)
        return [(row[0], row[1]) for row in connection.execute(statement, source).fetchall()]

    def nearest(
        self, connection: Connection[TupleRow], query: Vectors, contents: Ints, sizes: Ints, count: int
    ) -> list[Hit]:
        """The closest chunks of `contents` (ids, each with its number of chunks), best first.

        By way of the HNSW index when it holds more of them than are compared one by one in the same time;
        what was stored after it was built is always compared one by one.
        """
        binary.register(connection)
        if int(sizes.sum()) <= EXACT_MOST:
            return self._exact(connection, query, contents, count)
        indexed = contents <= self.indexed_to
        if int(sizes[indexed].sum()) <= EXACT_MOST:
            connection.execute("SELECT set_config('jit', 'off', true)")  # takes longer than what it could save
            limit = max(EF_SEARCH, count)
            found = self._search(connection, _SCAN, query, contents, limit, count)
            return self._exact(connection, query, contents, count) if found is None else found
        # Candidates of other sources are no help: half of the effort at least must have gone into these.
        enough = max(count, EF_SEARCH // 2)
        share = min(1.0, int(sizes[indexed].sum()) / max(self.indexed, 1))
        limit = max(EF_SEARCH, math.ceil(_SPARE * enough / share))
        connection.execute(_PREPARE, {"effort": str(min(limit, _MOST_EFFORT))})
        found = self._search(connection, _INDEX, query, contents[indexed], limit, enough)
        connection.execute(_AFTER)
        if found is None:
            return self._exact(connection, query, contents, count)
        if not indexed.all():
            found += self._exact(connection, query, contents[~indexed], count)
        return sorted(found, key=lambda hit: (-hit[2], hit[0], hit[1]))[:count]

    def _exact(self, connection: Connection[TupleRow], query: Vectors, contents: Ints, count: int) -> list[Hit]:
        # The sum keeps Postgres from using the index, whose filter comes after the search.
        statement = sql.SQL(
            "SELECT content_id, chunk, -(embedding <#> %b::vector) AS similarity FROM {} WHERE content_id = ANY(%b) "
            "ORDER BY (embedding <#> %b::vector) + 0 LIMIT %s"
        ).format(self.name)
        vector = binary.vector(query)
        rows = connection.execute(statement, (vector, binary.bigints(contents), vector, count), binary=True)
        return [(row[0], row[1], row[2]) for row in rows.fetchall()]

    def _search(
        self,
        connection: Connection[TupleRow],
        statement: str,
        query: Vectors,
        contents: Ints,
        limit: int,
        enough: int,
    ) -> list[Hit] | None:
        """Among all sources of the team: asks for `limit`, then more until enough are of `contents`, or gives up."""
        composed = sql.SQL(statement).format(
            table=self.name, indexed_to=sql.Literal(self.indexed_to), width=sql.Literal(len(query))
        )
        vector = binary.vector(query)
        while limit <= _MOST_LOOKED_AT:
            rows = connection.execute(composed, {"query": vector, "limit": limit}, binary=True).fetchall()
            ids = np.array([row[0] for row in rows], dtype=np.int64)
            live = contents[np.minimum(np.searchsorted(contents, ids), len(contents) - 1)] == ids
            if int(live.sum()) >= enough or len(rows) < limit:
                return [(rows[n][0], rows[n][1], rows[n][2]) for n in np.flatnonzero(live)]
            limit *= 3
        return None
