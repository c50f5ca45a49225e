"""An index of one commit in this process's memory, for a single task without servers.

Built from the repository alone; vectors are made when the first query asks for them.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from assets.context.chunks import Chunk, language_of
from assets.context.content import Content, embedded_text, make_content
from assets.context.history import recent_changes
from assets.context.index import Floats, Ints, Manifest
from assets.context.skips import skip_content, skip_entry
from core.embedding import Embedder, Vectors
from core.git import Entry, Repository

MOST_FILES = 20_000


class MemoryIndex:
    """Implements `assets.context.index.Index`."""

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

    @cached_property
    def _vectors(self) -> Vectors | None:
        if self._embedder is None:
            return None
        return self._embedder.embed_documents(
            [embedded_text(chunk) for content in self._contents for chunk in content.chunks]
        )

    def nearest(self, text: str, count: int) -> tuple[Ints, Floats]:
        vectors = self._vectors
        if vectors is None or self._embedder is None or not len(vectors):
            return np.zeros(0, dtype=np.int64), np.zeros(0)
        exact: Floats = np.asarray(vectors @ self._embedder.embed_query(text), dtype=np.float64)
        similarity = np.round(exact, 5)
        order = np.argsort(-similarity, kind="stable")[:count].astype(np.int64)
        return order, similarity[order]
