"""An index of one commit in this process's memory, for a single task without servers.

Built from the repository alone; vectors are computed at the first query that needs them.
"""

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from assets.context.chunking.chunks import Chunk, language_of
from assets.context.chunking.content import Content, embedded_text, make_content
from assets.context.chunking.terms import query_terms
from assets.context.ranking.history import PastCommits, read_history
from assets.context.ranking.index import Floats, Ints, Manifest
from assets.context.source.rules import read_rules
from assets.context.source.skips import skip_content
from assets.context.store.postings import PostingsBuilder
from core.embedding import Embedder, Vectors, embed_most
from core.git import Entry, Repository

MOST_FILES = 20_000
MOST_EMBEDDED = 4000


class MemoryIndex:
    """Implements `assets.context.ranking.index.Index`. With more than `most_embedded` documents, `nearest` compares
    only that many that share words with the text, so that a query never waits for a whole repository to be embedded."""

    most_embedded = MOST_EMBEDDED

    def __init__(
        self,
        source: str,
        commit: str,
        files: Sequence[tuple[str, Content]],
        embedders: Sequence[Embedder],
        skipped: Sequence[tuple[str, str]] = (),
        history: PastCommits | None = None,
    ) -> None:
        """`files` in byte order of their paths."""
        self.source = source
        self.commit = commit
        self.skipped = tuple(skipped)
        self.history = history or PastCommits()
        self._contents = [content for _, content in files]
        self._embedders = {embedder.identity: embedder for embedder in embedders}
        counts = [len(content.chunks) for content in self._contents]
        self.manifest = Manifest(
            tuple(path for path, _ in files),
            np.concatenate(([0], np.cumsum(counts, dtype=np.int64))).astype(np.int64),
            np.array([length for content in self._contents for length in content.lengths], dtype=np.int64),
        )
        self._vectors: dict[str, _Vectors] = {}

    @classmethod
    def build(
        cls, repository: Repository, commit: str, embedders: Sequence[Embedder] = (), *, source: str | None = None
    ) -> "MemoryIndex":
        """Indexes a commit. Raises `GitError` when it cannot be read."""
        commit = repository.resolve(commit)
        kept: list[Entry] = []
        skipped: list[tuple[str, str]] = []
        entries = repository.ls_tree(commit)
        reasons = read_rules(repository, commit).reasons(entries)
        for entry in entries:
            reason = reasons[entry.path] or ("too many files" if len(kept) >= MOST_FILES else None)
            if reason:
                skipped.append((entry.path, reason))
            else:
                kept.append(entry)
        made: dict[tuple[str, str], Content | str] = {}
        files = []
        for entry, (_, raw) in zip(kept, repository.read_blobs(entry.blob for entry in kept), strict=True):
            language = language_of(entry.path)
            key = (entry.blob, language.name)
            if key not in made:
                made[key] = skip_content(raw) or make_content(raw, language)
            content = made[key]
            if isinstance(content, str):
                skipped.append((entry.path, content))
            else:
                files.append((entry.path, content))
        files.sort(key=lambda file: file[0].encode())
        history = PastCommits(read_history(repository, commit))
        return cls(source or repository.path.name, commit, files, embedders, skipped, history)

    def with_models(self, embedders: Sequence[Embedder]) -> "MemoryIndex":
        """The same files, to be searched with other models."""
        files = list(zip(self.manifest.paths, self._contents, strict=True))
        return MemoryIndex(self.source, self.commit, files, embedders, self.skipped, self.history)

    def sample(self, most: int, *, keep: Collection[str] = (), seed: int = 0) -> "MemoryIndex":
        """The files `keep` and a random sample of the others that have at most `most` documents together. Returns this
        index if all of them fit."""
        if self.manifest.documents <= most:
            return self
        order = list(zip(self.manifest.paths, self._contents, strict=True))
        random.Random(seed).shuffle(order)  # noqa: S311
        order.sort(key=lambda file: file[0] not in keep)
        chosen, used = [], 0
        for path, content in order:
            if path in keep or used + len(content.chunks) <= most:
                chosen.append((path, content))
                used += len(content.chunks)
        chosen.sort(key=lambda file: file[0].encode())
        return MemoryIndex(self.source, self.commit, chosen, list(self._embedders.values()), self.skipped, self.history)

    def embed_all(self, embedder: Embedder) -> None:
        """Makes the vectors of all documents now, rather than at the first query. Raises `EmbedderUnavailable`."""
        self._embed(embedder, np.arange(self.manifest.documents))

    @property
    def version(self) -> str:
        return f"memory:{self.commit[:12]}"

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(self._embedders)

    def coverage(self, model: str) -> float:
        return min(1.0, self.most_embedded / max(1, self.manifest.documents))

    def postings(self, terms: Sequence[str]) -> Mapping[str, tuple[Ints, Ints]]:
        return {term: found for term in terms if (found := self._postings.get(term))}

    def file_postings(self, terms: Sequence[str]) -> Mapping[str, tuple[Ints, Ints]]:
        return {term: self.manifest.in_files(*found) for term, found in self.postings(terms).items()}

    @cached_property
    def _postings(self) -> Mapping[str, tuple[Ints, Ints]]:
        builder = PostingsBuilder()
        for content in self._contents:
            builder.add(content.counts)
        return {
            term: (documents.astype(np.int64), counts.astype(np.int64)) for term, documents, counts in builder.arrays()
        }

    def chunks(self, documents: Sequence[int]) -> list[Chunk]:
        file_of, offsets = self.manifest.file_of, self.manifest.offsets
        return [
            self._contents[int(file_of[document])].chunks[document - int(offsets[file_of[document]])]
            for document in documents
        ]

    def expect(self, model: str, text: str, count: int) -> None:
        """Does nothing, since no other process could search in the meantime."""

    def nearest(self, model: str, text: str, count: int) -> tuple[Ints, Floats]:
        embedder = self._embedders[model]
        query = embedder.embed_query(text)
        if not self.manifest.documents or not query.any():
            return np.zeros(0, dtype=np.int64), np.zeros(0)
        documents = self._candidates(text)
        exact: Floats = np.asarray(self._embed(embedder, documents) @ query, dtype=np.float64)
        similarity = np.round(exact, 5)
        order = np.argsort(-similarity, kind="stable")[:count]
        return documents[order], similarity[order]

    @property
    def unanswered(self) -> frozenset[str]:
        return frozenset()

    def _candidates(self, text: str) -> Ints:
        """All documents if there are at most `most_embedded`, else those that share the rarest words with the text."""
        everything = np.arange(self.manifest.documents)
        if len(everything) <= self.most_embedded:
            return everything
        shared = np.zeros(len(everything))
        for documents, _ in self.postings(sorted(query_terms(text))).values():
            shared[documents] += np.log1p(len(everything) / len(documents))
        return np.sort(np.argsort(-shared, kind="stable")[: self.most_embedded])

    def _embed(self, embedder: Embedder, documents: Ints) -> Vectors:
        """The vectors of these documents, each computed once."""
        if (kept := self._vectors.get(embedder.identity)) is None:
            shape = (self.manifest.documents, embedder.dimensions)
            kept = _Vectors(np.zeros(shape, dtype=np.float32), np.zeros(self.manifest.documents, dtype=bool))
            self._vectors[embedder.identity] = kept
        if len(new := documents[~kept.made[documents]]):
            texts = [embedded_text(chunk) for chunk in self.chunks(new.tolist())]
            kept.rows[new] = embed_most(embedder, texts).vectors
            kept.made[new] = True
        rows: Vectors = kept.rows[documents]
        return rows


@dataclass(frozen=True, slots=True)
class _Vectors:
    rows: Vectors
    made: NDArray[np.bool_]
