"""An index of one commit in this process's memory, for a single task without servers.

Built from the repository alone; vectors are made when the first query asks for them.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from assets.context.chunks import Chunk, language_of
from assets.context.content import Content, embedded_text, make_content
from assets.context.history import recent_changes
from assets.context.index import Floats, Ints, Manifest
from assets.context.skips import skip_content, skip_entry
from assets.context.terms import query_terms
from core.embedding import Embedder, Vectors
from core.git import Entry, Repository

MOST_FILES = 20_000
MOST_EMBEDDED = 4000


class MemoryIndex:
    """Implements `assets.context.index.Index`. With more than `most_embedded` documents, `nearest` looks
    only at as many that share words with the text, so that a query never waits for a whole repository."""

    most_embedded = MOST_EMBEDDED

    def __init__(
        self,
        source: str,
        commit: str,
        files: Sequence[tuple[str, Content]],
        recent: Mapping[str, int],
        embedder: Embedder | None,
        skipped: Sequence[tuple[str, str]] = (),
    ) -> None:
        """`files` in byte order of their paths."""
        self.source = source
        self.commit = commit
        self.skipped = tuple(skipped)
        self._contents = [content for _, content in files]
        self._embedder = embedder
        counts = [len(content.chunks) for content in self._contents]
        self.manifest = Manifest(
            tuple(path for path, _ in files),
            np.concatenate(([0], np.cumsum(counts, dtype=np.int64))).astype(np.int64),
            np.array([length for content in self._contents for length in content.lengths], dtype=np.int64),
            recent,
        )
        self._vectors: Vectors = np.zeros((0, 0), dtype=np.float32)
        self._embedded = np.zeros(self.manifest.documents, dtype=bool)

    @classmethod
    def build(
        cls, repository: Repository, commit: str, embedder: Embedder | None = None, *, source: str | None = None
    ) -> "MemoryIndex":
        """Indexes a commit. Raises `GitError` when it cannot be read."""
        commit = repository.resolve(commit)
        kept: list[Entry] = []
        skipped: list[tuple[str, str]] = []
        for entry in repository.ls_tree(commit):
            reason = skip_entry(entry) or ("too many files" if len(kept) >= MOST_FILES else None)
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
        recent = recent_changes(repository, commit)
        return cls(source or repository.path.name, commit, files, recent, embedder, skipped)

    @property
    def version(self) -> str:
        return f"memory:{self.commit[:12]}"

    @property
    def model(self) -> str | None:
        return self._embedder.identity if self._embedder else None

    def postings(self, terms: Sequence[str]) -> Mapping[str, tuple[Ints, Ints]]:
        found = {}
        offsets = self.manifest.offsets
        for term in terms:
            documents: list[int] = []
            counts: list[int] = []
            for file, content in enumerate(self._contents):
                if hits := content.postings.get(term):
                    start = int(offsets[file])
                    documents += [start + number for number in hits[::2]]
                    counts += hits[1::2]
            if documents:
                found[term] = (np.array(documents, dtype=np.int64), np.array(counts, dtype=np.int64))
        return found

    def chunks(self, documents: Sequence[int]) -> list[Chunk]:
        file_of, offsets = self.manifest.file_of, self.manifest.offsets
        return [
            self._contents[int(file_of[document])].chunks[document - int(offsets[file_of[document]])]
            for document in documents
        ]

    def nearest(self, text: str, count: int) -> tuple[Ints, Floats]:
        if self._embedder is None or not self.manifest.documents:
            return np.zeros(0, dtype=np.int64), np.zeros(0)
        query = self._embedder.embed_query(text)
        if not query.any():
            return np.zeros(0, dtype=np.int64), np.zeros(0)
        documents = self._candidates(text)
        self._embed(self._embedder, documents[~self._embedded[documents]])
        exact: Floats = np.asarray(self._vectors[documents] @ query, dtype=np.float64)
        similarity = np.round(exact, 5)
        order = np.argsort(-similarity, kind="stable")[:count]
        return documents[order], similarity[order]

    def _candidates(self, text: str) -> Ints:
        """Every document of a small index; of a large one, those that share the rarest words with the text."""
        everything = np.arange(self.manifest.documents)
        if len(everything) <= self.most_embedded:
            return everything
        shared = np.zeros(len(everything))
        for documents, _ in self.postings(sorted(query_terms(text))).values():
            shared[documents] += np.log1p(len(everything) / len(documents))
        return np.sort(np.argsort(-shared, kind="stable")[: self.most_embedded])

    def _embed(self, embedder: Embedder, documents: Ints) -> None:
        if not len(self._vectors):
            self._vectors = np.zeros((self.manifest.documents, embedder.dimensions), dtype=np.float32)
        if len(documents):
            chunks = self.chunks(documents.tolist())
            self._vectors[documents] = embedder.embed_documents([embedded_text(chunk) for chunk in chunks])
            self._embedded[documents] = True
