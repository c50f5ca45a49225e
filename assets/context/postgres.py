"""The visible index of a source in Postgres, as ranking reads it, within one transaction.

The version is fixed when the index is opened; every read is of that version, whatever a refresh does
meanwhile. The list of files of a version never changes and is kept in this process.
"""

import contextlib
import threading
import uuid
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from psycopg import Connection
from psycopg.rows import TupleRow

from assets.context import store, versions
from assets.context.chunks import Chunk
from assets.context.index import Floats, Ints, Manifest
from assets.context.refresh import index_version_name
from assets.context.vector_table import VectorTable
from assets.context.versions import Version
from core.database import Database
from core.embedding import Embedder

_FILES = f"""
SELECT f.path, f.content_id, c.lengths
FROM (SELECT path, content_id FROM source_files WHERE {versions.LIVE} AND content_id IS NOT NULL) f
JOIN contents c ON c.id = f.content_id ORDER BY f.path
"""  # noqa: S608
_POSTINGS = f"""
SELECT term, array_agg(content_id), array_agg(length(hits) / 4), string_agg(hits, ''::bytea)
FROM (SELECT term, content_id, hits FROM postings WHERE team_id = %(team)s AND term = ANY(%(terms)b)
      AND content_id IN (SELECT content_id FROM source_files WHERE {versions.LIVE})) p
GROUP BY term
"""  # noqa: S608
_KEPT = 8


class NotIndexed(LookupError):
    """The source has no visible index yet."""


@dataclass(frozen=True)
class _Files:
    """A version's manifest, and its files in the order of their contents."""

    manifest: Manifest
    content_ids: Ints
    by_content: Ints
    """File numbers, sorted by content id."""

    def locate(self, contents: Ints) -> tuple[Ints, Ints]:
        """(file, place in `contents`) for every file that has one of these contents."""
        ordered = self.content_ids[self.by_content]
        low = np.searchsorted(ordered, contents, "left")
        count = np.searchsorted(ordered, contents, "right") - low
        place = np.repeat(np.arange(len(contents)), count)
        within = np.arange(len(place)) - np.repeat(np.cumsum(count) - count, count)
        return self.by_content[np.repeat(low, count) + within], place


_cache: OrderedDict[tuple[str, int], _Files] = OrderedDict()
_cache_lock = threading.Lock()


@contextlib.contextmanager
def open_index(
    database: Database, team_id: uuid.UUID, source: str, embedders: Sequence[Embedder] = ()
) -> Iterator["PostgresIndex"]:
    """The source's visible index, for as long as the context lasts; `embedders` embed what is asked of it.

    Raises `NotIndexed`, and `EmbedderUnavailable` when the weights of a model are missing.
    """
    with database.team(team_id) as connection:
        version = versions.visible(connection, team_id, source)
        if version is None:
            raise NotIndexed(f"source {source!r} is not indexed yet: `penstock index refresh {source}`")
        files = _files(database.url, connection, team_id, source, version)
        yield PostgresIndex(connection, team_id, source, version, files, embedders)


def _files(url: str, connection: Connection[TupleRow], team_id: uuid.UUID, source: str, version: Version) -> _Files:
    key = (url, version.id)
    with _cache_lock:
        if key in _cache:
            _cache.move_to_end(key)
            return _cache[key]
    rows = connection.execute(_FILES, versions.scope(team_id, source, version.version), binary=True).fetchall()
    counts = [len(row[2]) for row in rows]
    manifest = Manifest(
        tuple(row[0] for row in rows),
        np.concatenate(([0], np.cumsum(counts, dtype=np.int64))).astype(np.int64),
        np.array([length for row in rows for length in row[2]], dtype=np.int64),
        version.recent,
    )
    content_ids = np.array([row[1] for row in rows], dtype=np.int64)
    made = _Files(manifest, content_ids, np.argsort(content_ids, kind="stable"))
    with _cache_lock:
        _cache[key] = made
        while len(_cache) > _KEPT:
            _cache.popitem(last=False)
    return made


class PostgresIndex:
    """Implements `assets.context.index.Index`. Made by `open_index`."""

    def __init__(
        self,
        connection: Connection[TupleRow],
        team_id: uuid.UUID,
        source: str,
        version: Version,
        files: _Files,
        embedders: Sequence[Embedder],
    ) -> None:
        self.source = source
        self.commit = version.commit
        self.version = index_version_name(source, version.version)
        self.manifest = files.manifest
        self._connection = connection
        self._team_id = team_id
        self._scope = versions.scope(team_id, source, version.version)
        self._files = files
        self._models: dict[str, tuple[Embedder, VectorTable]] = {}
        for embedder in embedders:
            table = VectorTable.find(connection, embedder.identity)
            if table and (embedder.identity in version.models or table.has_any(connection, self._scope)):
                self._models[embedder.identity] = (embedder, table)
        self._complete = frozenset(version.models)
        self._postings: dict[str, tuple[Ints, Ints] | None] = {}

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(self._models)

    def coverage(self, model: str) -> float:
        _, table = self._models[model]
        documents = self.manifest.documents
        if model in self._complete or not documents:
            return 1.0
        counted = np.array(table.counts(self._connection, self._scope), dtype=np.int64).reshape(-1, 2)
        _, place = self._files.locate(counted[:, 0])
        return float(counted[place, 1].sum()) / documents

    def postings(self, terms: Sequence[str]) -> Mapping[str, tuple[Ints, Ints]]:
        unknown = [term for term in dict.fromkeys(terms) if term not in self._postings]
        if unknown:
            self._postings |= dict.fromkeys(unknown)
            rows = self._connection.execute(_POSTINGS, {**self._scope, "terms": unknown}, binary=True).fetchall()
            for term, contents, counts, hits in rows:
                self._postings[term] = self._decode(contents, counts, hits)
        return {term: found for term in terms if (found := self._postings[term]) is not None}

    def _decode(self, contents: list[int], counts: list[int], hits: bytes) -> tuple[Ints, Ints]:
        pairs = np.frombuffer(hits, dtype="<u2").reshape(-1, 2).astype(np.int64)
        sizes = np.array(counts, dtype=np.int64)
        starts = np.cumsum(sizes) - sizes
        files, place = self._files.locate(np.array(contents, dtype=np.int64))
        take = sizes[place]
        within = np.arange(int(take.sum())) - np.repeat(np.cumsum(take) - take, take)
        rows = np.repeat(starts[place], take) + within
        documents = np.repeat(self.manifest.offsets[files], take) + pairs[rows, 0]
        order = np.argsort(documents, kind="stable")
        return documents[order], pairs[rows, 1][order]

    def chunks(self, documents: Sequence[int]) -> list[Chunk]:
        manifest = self.manifest
        places = []
        for document in documents:
            file = int(manifest.file_of[document])
            places.append((int(self._files.content_ids[file]), int(document - manifest.offsets[file])))
        return store.read_chunks(self._connection, places)

    def nearest(self, model: str, text: str, count: int) -> tuple[Ints, Floats]:
        none = np.zeros(0, dtype=np.int64), np.zeros(0)
        embedder, table = self._models[model]
        query = embedder.embed_query(text)
        if not query.any():
            return none
        # A few more than wanted, so that equal similarities are cut off by document number as in memory.
        found = table.nearest(self._connection, query, self._scope, count + 50)
        if not found:
            return none
        files, place = self._files.locate(np.array([row[0] for row in found], dtype=np.int64))
        documents = self.manifest.offsets[files] + np.array([row[1] for row in found], dtype=np.int64)[place]
        similarity = np.round(np.array([row[2] for row in found])[place], 5)
        order = np.lexsort((documents, -similarity))[:count]
        return documents[order], similarity[order]
