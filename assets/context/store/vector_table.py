"""Vectors in Postgres: one table per model, with a fixed width, written and read in pgvector's binary form.

COPY does not work with row-level security, so rows are inserted as binary arrays, which are as compact.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import Connection, sql
from psycopg.rows import TupleRow

from assets.context.ranking.index import Ints
from assets.context.store import binary
from core.embedding import Embedder, Vectors

_FIND = r"""
SELECT m.id, m.table_name, coalesce(built.bound, 0), coalesce(built.vectors, 0)
FROM embedding_models m LEFT JOIN LATERAL (
  SELECT substring(c.relname FROM '_to_(\d+)$')::bigint AS bound, greatest(c.reltuples, 0)::bigint AS vectors
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
  WHERE i.indrelid = to_regclass(m.table_name) AND i.indisvalid AND i.indpred IS NOT NULL AND c.relname ~ '_to_\d+$'
  ORDER BY 1 DESC LIMIT 1
) built ON true WHERE m.identity = %s
"""


@dataclass(frozen=True, slots=True)
class VectorTable:
    """The table of one model. Its HNSW index holds the contents up to the id `indexed_to`, about `indexed` vectors;
    both are 0 if there is no index."""

    model_id: int
    identity: str
    name: sql.Identifier
    indexed_to: int = 0
    indexed: int = 0

    @classmethod
    def of(cls, connection: Connection[TupleRow], embedder: Embedder) -> "VectorTable":
        """The model's table, created at the first use. Raises `EmbedderUnavailable` if the model cannot be loaded."""
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
        """Writes one vector for each (content, chunk); existing ones are left unchanged."""
        if not len(vectors):
            return
        statement = sql.SQL(
            "INSERT INTO {} (team_id, content_id, chunk, embedding) "
            "SELECT %s, * FROM unnest(%b::bigint[], %b::integer[], %b::vector[]) ON CONFLICT DO NOTHING"
        ).format(self.name)
        binary.register(connection)
        arrays = (binary.bigints(contents), binary.integers(chunks), binary.vectors(vectors, connection))
        connection.execute(statement, (team_id, *arrays))

    def replace(
        self, connection: Connection[TupleRow], contents: Sequence[int], chunks: Sequence[int], vectors: Vectors
    ) -> None:
        """Writes other vectors for (content, chunk)s that have one."""
        statement = sql.SQL(
            "UPDATE {} v SET embedding = u.embedding FROM unnest(%b::bigint[], %b::integer[], %b::vector[]) "
            "AS u(content_id, chunk, embedding) WHERE (v.content_id, v.chunk) = (u.content_id, u.chunk)"
        ).format(self.name)
        binary.register(connection)
        arrays = (binary.bigints(contents), binary.integers(chunks), binary.vectors(vectors, connection))
        connection.execute(statement, arrays)

    def lacking(self, connection: Connection[TupleRow], contents: Sequence[int]) -> list[int]:
        """Those of `contents` that have chunks but no vectors of this model, ascending."""
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
        """(content, number of its vectors) of the contents of one source and version that have any."""
        statement = sql.SQL(
            "SELECT v.content_id, count(*) FROM {} v WHERE v.content_id IN (SELECT content_id FROM source_files "
            "WHERE team_id = %(team)s AND source = %(source)s AND since <= %(version)s "
            "AND (until IS NULL OR until > %(version)s)) GROUP BY v.content_id"
        ).format(self.name)
        return [(row[0], row[1]) for row in connection.execute(statement, source).fetchall()]
