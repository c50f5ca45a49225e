"""Vectors in Postgres: one typed table per model, written and read in pgvector's binary form.

Row-level security rules out COPY, so rows go in as binary arrays, which are as compact. Binary form
of a vector: https://github.com/pgvector/pgvector/blob/v0.8.0/src/vector.c (`vector_recv`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from psycopg import Connection, pq, sql
from psycopg.abc import AdaptContext
from psycopg.adapt import Dumper
from psycopg.rows import TupleRow

from core.embedding import Embedder, Vectors


class _Binary:
    """A parameter already in Postgres's binary form; its type comes from the cast beside it."""

    def __init__(self, content: bytes) -> None:
        self.content = content


class _BinaryDumper(Dumper):
    format = pq.Format.BINARY
    oid = 0

    def dump(self, obj: _Binary) -> bytes:
        return obj.content


@dataclass(frozen=True, slots=True)
class VectorTable:
    """The table of one model. `element` is the type number of `vector` in this database."""

    model_id: int
    identity: str
    name: sql.Identifier
    element: int

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
        row = connection.execute(
            "SELECT id, table_name, 'vector'::regtype::oid FROM embedding_models WHERE identity = %s", (identity,)
        ).fetchone()
        return cls(row[0], identity, sql.Identifier(row[1]), row[2]) if row else None

    def insert(
        self,
        connection: Connection[TupleRow],
        team_id: object,
        contents: Sequence[int],
        chunks: Sequence[int],
        vectors: Vectors,
    ) -> None:
        """Writes one vector for each (content, chunk); those that are there already stay."""
        if not len(vectors):
            return
        statement = sql.SQL(
            "INSERT INTO {} (team_id, content_id, chunk, embedding) "
            "SELECT %s, * FROM unnest(%b::bigint[], %b::integer[], %b::vector[]) ON CONFLICT DO NOTHING"
        ).format(self.name)
        _register(connection)
        connection.execute(statement, (team_id, list(contents), list(chunks), _array(vectors, self.element)))

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
        self, connection: Connection[TupleRow], query: Vectors, source: dict[str, object], count: int
    ) -> list[tuple[int, int, float]]:
        """(content, chunk, inner product) of the closest among the files of one source and version."""
        statement = sql.SQL(
            "SELECT v.content_id, v.chunk, -(v.embedding <#> %(query)b::vector) FROM {} v "
            "WHERE v.content_id IN (SELECT content_id FROM source_files WHERE team_id = %(team)s "
            "AND source = %(source)s AND since <= %(version)s AND (until IS NULL OR until > %(version)s)) "
            "ORDER BY v.embedding <#> %(query)b::vector LIMIT %(count)s"
        ).format(self.name)
        _register(connection)
        parameters = {**source, "query": _Binary(_one(query)), "count": count}
        return [(row[0], row[1], row[2]) for row in connection.execute(statement, parameters, binary=True).fetchall()]


def _register(context: AdaptContext) -> None:
    context.adapters.register_dumper(_Binary, _BinaryDumper)


def _one(vector: Vectors) -> bytes:
    header = np.array([len(vector), 0], dtype=">i2").tobytes()
    return header + vector.astype(">f4").tobytes()


def _array(vectors: Vectors, element: int) -> _Binary:
    count, width = vectors.shape
    rows = np.zeros(count, dtype=[("size", ">i4"), ("width", ">i2"), ("unused", ">i2"), ("values", ">f4", (width,))])
    rows["size"], rows["width"], rows["values"] = 4 + 4 * width, width, vectors
    header = np.array([1, 0, element, count, 1], dtype=">u4").tobytes()
    return _Binary(header + rows.tobytes())
