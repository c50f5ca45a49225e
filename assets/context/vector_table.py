"""Vectors in Postgres: one typed table per model, written and read in pgvector's binary form.

Row-level security rules out COPY, so rows go in as binary arrays, which are as compact.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import Connection, sql
from psycopg.rows import TupleRow

from assets.context import binary
from assets.context.index import Ints
from core.embedding import Embedder, Vectors


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
        self, connection: Connection[TupleRow], query: Vectors, source: dict[str, object], count: int
    ) -> list[tuple[int, int, float]]:
        """(content, chunk, inner product) of the closest among the files of one source and version."""
        statement = sql.SQL(
            "SELECT v.content_id, v.chunk, -(v.embedding <#> %(query)b::vector) FROM {} v "
            "WHERE v.content_id IN (SELECT content_id FROM source_files WHERE team_id = %(team)s "
            "AND source = %(source)s AND since <= %(version)s AND (until IS NULL OR until > %(version)s)) "
            "ORDER BY v.embedding <#> %(query)b::vector LIMIT %(count)s"
        ).format(self.name)
        binary.register(connection)
        parameters = {**source, "query": binary.vector(query), "count": count}
        return [(row[0], row[1], row[2]) for row in connection.execute(statement, parameters, binary=True).fetchall()]
