"""What learning a map between two models' spaces asks of the context stage: stored vectors of both, and rankings.

A pair is a chunk whose vectors by both models are stored, as happens while a migration builds. Nothing is
embedded here, and nothing decided.
"""

import contextlib
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from assets.context.models.model_vectors import nearest_paths_of
from assets.context.ranking.query import read_query
from assets.context.ranking.rank import score
from assets.context.ranking.weights import WEIGHTS
from assets.context.store.postgres import PostgresIndex, open_index
from assets.context.store.vector_table import VectorTable
from core.database import Database
from core.embedding import Embedder, Vectors

CHUNKS_OF_ONE = 4
"""Chunks taken of one content where there are contents enough: many of one file are alike."""
BM25 = {"text": 1.0}
"""The weights of a search by the words of chunks alone."""
FROM_HISTORY = ("commits", "recent", "together")
"""Signals that know past commits, and so the answer to a query that is one's message."""

_CONTENTS = """
SELECT v.content_id FROM {new} v WHERE v.chunk = 0 AND NOT v.content_id = ANY(%(without)s)
AND EXISTS (SELECT FROM {old} o WHERE o.content_id = v.content_id)
AND EXISTS (SELECT FROM visible_contents u WHERE u.content_id = v.content_id)
ORDER BY hashint8extended(v.content_id, %(seed)s), v.content_id LIMIT %(most)s
"""
_VECTORS = """
SELECT n.content_id, n.embedding, o.embedding FROM {new} n JOIN {old} o USING (content_id, chunk)
WHERE n.content_id = ANY(%(contents)s) AND n.chunk < %(chunks)s
ORDER BY hashint8extended(n.content_id, %(seed)s), n.content_id, n.chunk LIMIT %(most)s
"""
_WITH_PATHS = """
SELECT DISTINCT other.id FROM source_files f JOIN contents c ON c.id = f.content_id
JOIN contents other ON other.blob = c.blob
WHERE f.team_id = %s AND f.source = %s AND f.path = ANY(%s)
"""


def contents_of(connection: Connection[TupleRow], paths: Iterable[tuple[uuid.UUID, str, Sequence[str]]]) -> set[int]:
    """Every content that these files (of team and source) have or had, and every other with the same bytes."""
    found: set[int] = set()
    for team_id, source, names in paths:
        found |= {row[0] for row in connection.execute(_WITH_PATHS, (team_id, source, list(names))).fetchall()}
    return found


def stored_pairs(
    connection: Connection[TupleRow], old: str, new: str, *, most: int, without: Collection[int] = (), seed: int = 0
) -> tuple["np.ndarray[tuple[int], np.dtype[np.int64]]", Vectors, Vectors]:
    """(content ids, new vectors, old vectors), row by row, of at most `most` chunks of visible contents that have
    both; a few of each content, chosen at random. `old` and `new` are identities. The connection is the platform's.
    """
    tables = {"old": _table(connection, old).name, "new": _table(connection, new).name}
    rows = connection.execute(
        sql.SQL(_CONTENTS).format(**tables), {"without": sorted(without), "seed": seed, "most": most}
    ).fetchall()
    statement = sql.SQL(_VECTORS).format(**tables)
    each = max(CHUNKS_OF_ONE, -(-most // max(1, len(rows))))
    given = {"contents": [row[0] for row in rows], "chunks": each, "seed": seed, "most": most}
    found = connection.execute(statement, given, binary=True).fetchall()
    contents = np.array([row[0] for row in found], dtype=np.int64)
    return contents, _vectors([row[1] for row in found]), _vectors([row[2] for row in found])


class Asked:
    """A source's visible index, asked the same with one set of models after another. Made by `opened`."""

    def __init__(self, index: PostgresIndex) -> None:
        self._index = index

    def nearest(self, embedder: Embedder, text: str, k: int) -> list[str]:
        """The `k` files nearest to a text by one model alone, best first. Raises `EmbedderUnavailable`."""
        return nearest_paths_of(self._index.asking([embedder]), embedder.identity, text, k)

    def ranked(
        self,
        embedders: Sequence[Embedder],
        text: str,
        k: int,
        *,
        weights: Mapping[str, float] = WEIGHTS,
        off: Collection[str] = FROM_HISTORY,
    ) -> list[str]:
        """The `k` likeliest files as a whole search finds them, best first, without the reasons."""
        index = self._index.asking(embedders)
        manifest = index.manifest
        if not manifest.documents:
            return []
        best = score(index, read_query(text), weights=weights, off=off).best_of_files(k).documents
        return [manifest.paths[file] for file in manifest.file_of[best].tolist()]


@contextlib.contextmanager
def opened(database: Database, team_id: uuid.UUID, source: str) -> Iterator[Asked]:
    """Raises `NotIndexed`."""
    with open_index(database, team_id, source) as index:
        yield Asked(index)


def _table(connection: Connection[TupleRow], identity: str) -> VectorTable:
    found = VectorTable.find(connection, identity)
    if found is None:
        raise LookupError(f"the embedding model {identity} is not registered")
    return found


def _vectors(raw: Sequence[bytes]) -> Vectors:
    """From pgvector's binary form: two counts of two bytes, then the numbers."""
    if not raw:
        return np.zeros((0, 0), dtype=np.float32)
    whole = np.frombuffer(b"".join(raw), dtype=np.uint8).reshape(len(raw), -1)[:, 4:]
    made: Vectors = np.ascontiguousarray(whole).view(">f4").astype(np.float32)
    return made
