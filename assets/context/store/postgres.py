"""The visible index of a source in Postgres, as ranking reads it, within one transaction.

The version is fixed when the index is opened: every read sees that version, even if a refresh publishes
another one in the meantime.
"""

import contextlib
import uuid
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from psycopg import Connection
from psycopg.rows import TupleRow

from assets.context.chunking.chunks import Chunk
from assets.context.ranking.history import PastCommits
from assets.context.ranking.index import Floats, Ints
from assets.context.store import contents as store
from assets.context.store import versions
from assets.context.store.postings_cache import PostingsCache
from assets.context.store.vector_search import VectorSearch
from assets.context.store.vector_table import VectorTable
from assets.context.store.version_files import VersionCache, VersionFiles
from assets.context.store.versions import Version
from core.database import Database
from core.embedding import Embedder, EmbedderUnavailable

_versions = VersionCache()
_postings = PostingsCache()


class NotIndexed(LookupError):
    """The source has no visible index yet."""


@contextlib.contextmanager
def open_index(
    database: Database,
    team_id: uuid.UUID,
    source: str,
    embedders: Sequence[Embedder] = (),
    fallback: Sequence[Embedder] = (),
) -> Iterator["PostgresIndex"]:
    """Opens the source's visible index for the duration of the context; `embedders` embed the queries.

    If none of them has a vector of every chunk, the `fallback` models are searched as well.

    Raises `NotIndexed`, and `EmbedderUnavailable` when the weights of a model are missing.
    """
    with database.team(team_id, pipelined=True) as connection:
        version = versions.visible(connection, team_id, source)
        if version is None:
            raise NotIndexed(f"source {source!r} is not indexed yet: `penstock index refresh {source}`")
        files = _versions.get(database.url, connection, team_id, source, version)
        if not any(embedder.identity in version.models for embedder in embedders):
            embedders = (*embedders, *fallback)
        yield PostgresIndex(database.url, connection, team_id, source, version, files, embedders)


class PostgresIndex:
    """Implements `assets.context.ranking.index.Index`. Created by `open_index`."""

    def __init__(
        self,
        url: str,
        connection: Connection[TupleRow],
        team_id: uuid.UUID,
        source: str,
        version: Version,
        files: VersionFiles,
        embedders: Sequence[Embedder],
    ) -> None:
        self.source = source
        self.commit = version.commit
        self.version = versions.index_version_name(source, version.version)
        self.manifest = files.manifest
        self._url = url
        self._team_id = team_id
        self._version = version.version
        self._connection = connection
        self._scope = versions.scope(team_id, source, version.version)
        self._files = files
        self._complete = frozenset(version.models)
        self._models = self._with_vectors(embedders)
        self._unanswered: set[str] = set()
        self._expected: dict[tuple[str, str, int], VectorSearch | EmbedderUnavailable | None] = {}
        self._decoded: dict[str, tuple[Ints, Ints]] = {}
        self._in_files: dict[str, tuple[Ints, Ints]] = {}
        self._chunks: dict[int, Chunk] = {}

    def _with_vectors(self, embedders: Sequence[Embedder]) -> dict[str, tuple[Embedder, VectorTable]]:
        found = {}
        for embedder in embedders:
            table = VectorTable.find(self._connection, embedder.identity)
            if table and (embedder.identity in self._complete or table.has_any(self._connection, self._scope)):
                found[embedder.identity] = (embedder, table)
        return found

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

    @property
    def history(self) -> PastCommits:
        return self._files.history(self._connection, self._team_id, self.source, self._version)

    def postings(self, terms: Sequence[str]) -> Mapping[str, tuple[Ints, Ints]]:
        for term in terms:
            if term not in self._decoded and (common := self._files.common.get(term)):
                self._decoded[term] = common
        unknown = [term for term in dict.fromkeys(terms) if term not in self._decoded]
        if unknown:
            segments = self._files.segment_ids
            hits = _postings.get_packed(self._url, self._connection, segments, unknown)
            for term, decoded in self._files.decode(hits).items():
                self._decoded[term] = decoded
                self._files.common.keep(term, decoded)
        return {term: found for term in terms if len((found := self._decoded[term])[0])}

    def file_postings(self, terms: Sequence[str]) -> Mapping[str, tuple[Ints, Ints]]:
        for term, found in self.postings([term for term in terms if term not in self._in_files]).items():
            self._in_files[term] = self.manifest.in_files(*found)
        return {term: self._in_files[term] for term in terms if term in self._in_files}

    def chunks(self, documents: Sequence[int]) -> list[Chunk]:
        manifest = self.manifest
        unread = [document for document in dict.fromkeys(documents) if document not in self._chunks]
        places = []
        for document in unread:
            file = int(manifest.file_of[document])
            places.append((int(self._files.content_ids[file]), int(document - manifest.offsets[file])))
        self._chunks.update(zip(unread, store.read_chunks(self._connection, places), strict=True))
        return [self._chunks[document] for document in documents]

    @property
    def unanswered(self) -> frozenset[str]:
        return frozenset(self._unanswered)

    def expect(self, model: str, text: str, count: int) -> None:
        # `nearest` raises the error, so that one unavailable model does not end the search.
        if (model, text, count) not in self._expected:
            try:
                self._expected[model, text, count] = self._send(model, text, count)
            except EmbedderUnavailable as error:
                self._expected[model, text, count] = error

    def nearest(self, model: str, text: str, count: int) -> tuple[Ints, Floats]:
        self.expect(model, text, count)
        sent = self._expected.pop((model, text, count))
        if isinstance(sent, EmbedderUnavailable):
            self._unanswered.add(model)
            raise sent
        found = sent.hits() if isinstance(sent, VectorSearch) else []
        if not found:
            return np.zeros(0, dtype=np.int64), np.zeros(0)
        files, place = self._files.locate(np.array([row[0] for row in found], dtype=np.int64))
        documents = self.manifest.offsets[files] + np.array([row[1] for row in found], dtype=np.int64)[place]
        similarity = np.round(np.array([row[2] for row in found])[place], 5)
        order = np.lexsort((documents, -similarity))[:count]
        return documents[order], similarity[order]

    def _send(self, model: str, text: str, count: int) -> VectorSearch | None:
        """None if the model gives the text a zero vector."""
        embedder, table = self._models[model]
        vector = embedder.embed_query(text)
        if not vector.any():
            return None
        # A few more than needed, so that ties are cut off by document number, as in the index in memory.
        return VectorSearch(self._connection, table, vector, *self._files.contents, count + 50)
