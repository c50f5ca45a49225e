"""What the migration between embedding models needs of the context stage: the contents without vectors, their texts,
and what a model finds.

Hides from its callers how contents, chunks and versions are stored. Makes no decisions about models.
"""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import Connection
from psycopg.rows import TupleRow

from assets.context.chunking.content import embedded_text
from assets.context.models import set_aside
from assets.context.ranking.index import Index, Ints
from assets.context.ranking.query import read_query
from assets.context.ranking.rank import score
from assets.context.store import contents as store
from assets.context.store.postgres import open_index
from assets.context.store.vector_table import VectorTable
from core.database import Database
from core.embedding import Embedded, Embedder

KEPT_QUERIES = 1000
"""Queries retained per source; the oldest are deleted first."""
LONGEST_QUERY = 4000

_LACKING = """
SELECT c.team_id, c.id, cardinality(c.lengths)
FROM contents c
JOIN (SELECT u.content_id, max(a.asked_at) AS asked_at
      FROM visible_contents u
      LEFT JOIN (SELECT team_id, source, max(asked_at) AS asked_at FROM asked_queries GROUP BY team_id, source) a
           ON a.team_id = u.team_id AND a.source = u.source
      GROUP BY u.content_id) live ON live.content_id = c.id
WHERE cardinality(c.lengths) > 0 AND NOT EXISTS (SELECT FROM {vectors} v WHERE v.content_id = c.id)
ORDER BY live.asked_at DESC NULLS LAST, c.id DESC
"""
_COMPLETE = """
INSERT INTO version_models (team_id, source, version, model_id)
SELECT s.team_id, s.source, s.version, %(model)s FROM source_indexes s
JOIN embedding_coverage(%(model)s) e ON e.team_id = s.team_id AND e.source = s.source AND e.covered >= e.chunks
ON CONFLICT DO NOTHING
"""
_ASKED = """
INSERT INTO asked_queries (team_id, source, sha256, text) VALUES (%s, %s, %s, %s)
ON CONFLICT (team_id, source, sha256) DO UPDATE SET asked_at = now()
"""
_FORGET = """
DELETE FROM asked_queries WHERE team_id = %s AND source = %s AND asked_at < (
    SELECT asked_at FROM asked_queries WHERE team_id = %s AND source = %s ORDER BY asked_at DESC OFFSET %s LIMIT 1)
"""


@dataclass(frozen=True, slots=True)
class Lacking:
    """A content of a visible index without vectors of a model."""

    team_id: uuid.UUID
    content_id: int
    chunks: int


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts to embed for some contents of one team, one for each (content, chunk)."""

    team_id: uuid.UUID
    contents: tuple[int, ...]
    chunks: tuple[int, ...]
    texts: tuple[str, ...]


def lacking(connection: Connection[TupleRow], identity: str) -> list[Lacking]:
    """The visible contents, of files and tickets, without vectors of a model, each once. Contents of the most recently
    queried sources come first, and of these the newest. The connection must have the system role.

    Raises `LookupError` if the model is not registered.
    """
    table = _table(connection, identity)
    statement = _LACKING.replace("{vectors}", table.name.as_string(connection))
    return [Lacking(*row) for row in connection.execute(statement.encode()).fetchall()]


def read_texts(database: Database, team_id: uuid.UUID, contents: Sequence[int]) -> Texts:
    """The texts of all chunks of these contents; a content that was removed in the meantime has none."""
    with database.team(team_id) as connection:
        found = store.chunks_of(connection, contents)
    return Texts(
        team_id,
        tuple(content for content, _, _ in found),
        tuple(number for _, number, _ in found),
        tuple(embedded_text(chunk) for _, _, chunk in found),
    )


def write_vectors(database: Database, identity: str, texts: Texts, found: Embedded) -> None:
    """Writes the vectors of `texts` and what the model refused, in one transaction; existing ones stay."""
    with database.team(texts.team_id) as connection:
        table = _table(connection, identity)
        table.insert(connection, texts.team_id, texts.contents, texts.chunks, found.vectors)
        refused = [(texts.contents[place], texts.chunks[place], why) for place, why in found.refused.items()]
        set_aside.note(connection, texts.team_id, table.model_id, refused)


def note_complete(connection: Connection[TupleRow], model_id: int) -> int:
    """Records the visible indexes that a model now covers in full; returns how many were added."""
    return connection.execute(_COMPLETE, {"model": model_id}).rowcount


def nearest_paths(
    database: Database, team_id: uuid.UUID, source: str, embedder: Embedder, text: str, k: int
) -> list[str]:
    """The `k` files nearest to a text by one model alone, best first; empty if the index has no vectors of it. Raises
    `EmbedderUnavailable`, `NotIndexed`."""
    with open_index(database, team_id, source, [embedder]) as index:
        if embedder.identity not in index.models:
            return []
        documents, _ = index.nearest(embedder.identity, text[:LONGEST_QUERY], 8 * k)
        return _paths(index, documents, k)


def bm25_paths(database: Database, team_id: uuid.UUID, source: str, text: str, k: int) -> list[str]:
    """The `k` best files by BM25 alone, best first. Raises `NotIndexed`."""
    with open_index(database, team_id, source) as index:
        if not index.manifest.documents:
            return []
        documents = score(index, read_query(text), weights={"text": 1.0}).best_of_files(k).documents
        return _paths(index, documents, k)


def _paths(index: Index, documents: Ints, k: int) -> list[str]:
    """The first `k` distinct files of `documents`."""
    manifest = index.manifest
    return list(dict.fromkeys(manifest.paths[int(manifest.file_of[document])] for document in documents))[:k]


def visible_sources(connection: Connection[TupleRow]) -> list[tuple[uuid.UUID, str, str]]:
    """(team, source, commit) of every visible index that the connection may read."""
    return connection.execute(
        "SELECT s.team_id, s.source, v.commit FROM source_indexes s "
        "JOIN index_versions v USING (team_id, source, version) ORDER BY s.team_id, s.source"
    ).fetchall()


def visible_paths(connection: Connection[TupleRow], team_id: uuid.UUID, source: str) -> frozenset[str]:
    """The searchable paths of a source's visible index."""
    rows = connection.execute(
        "SELECT f.path FROM source_indexes s JOIN source_files f ON f.team_id = s.team_id AND f.source = s.source "
        "AND f.since <= s.version AND (f.until IS NULL OR f.until > s.version) "
        "WHERE s.team_id = %s AND s.source = %s AND f.content_id IS NOT NULL",
        (team_id, source),
    ).fetchall()
    return frozenset(row[0] for row in rows)


def asked_queries(connection: Connection[TupleRow], most: int) -> list[tuple[uuid.UUID, str, str]]:
    """(team, source, text) of the `most` latest queries, newest first."""
    return connection.execute(
        "SELECT team_id, source, text FROM asked_queries ORDER BY asked_at DESC, sha256 LIMIT %s", (most,)
    ).fetchall()


def note_query(database: Database, team_id: uuid.UUID, source: str, text: str) -> None:
    """Records a query, to compare models with, and deletes all but the newest `KEPT_QUERIES` of the source."""
    kept = text[:LONGEST_QUERY].replace("\0", " ").encode("utf-8", "replace").decode()
    if not kept.strip():
        return
    digest = hashlib.sha256(kept.encode()).digest()
    with database.team(team_id) as connection:
        connection.execute(_ASKED, (team_id, source, digest, kept))
        connection.execute(_FORGET, (team_id, source, team_id, source, KEPT_QUERIES - 1))


def _table(connection: Connection[TupleRow], identity: str) -> VectorTable:
    found = VectorTable.find(connection, identity)
    if found is None:
        raise LookupError(f"embedding model {identity} is not registered")
    return found
