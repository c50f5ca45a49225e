"""A folder or work tree of documents as a corpus: read, cut and indexed within limits.

Links are not followed and hidden folders are left out. The files stay where they are: `fetch` reads one again.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from assets.research.corpora.index import PassageIndex
from assets.research.corpora.kept_index import Kept, load, mark, store
from assets.research.corpora.passages import passages_of
from assets.research.corpora.protocol import CorpusUnavailable, SourceGone
from assets.research.corpora.reading import LARGEST_FILE, SUFFIXES, kind_of, read
from assets.research.records import Document, Found, Passage, Trust
from core.embedding import Embedder

MOST_FILES = 20_000
MOST_BYTES = 1 << 30
_SKIPPED = frozenset({"node_modules", "__pycache__", "venv", "build", "dist", "target", "site-packages"})


class FolderCorpus:
    """The documents below a folder. It is read at the first search, or its index is taken from the folder `kept`."""

    def __init__(
        self,
        name: str,
        root: Path,
        embedder: Embedder | None,
        trust: Trust = Trust.OWN,
        kept: Path | None = None,
    ) -> None:
        self._name = name
        self._root = root
        self._embedder = embedder
        self._trust = trust
        self._kept = kept
        self._index: PassageIndex | None = None
        self._documents = 0
        self.problems: tuple[str, ...] = ()
        """What could not be read, and why."""

    @property
    def name(self) -> str:
        return self._name

    @property
    def documents(self) -> int:
        self.index()
        return self._documents

    def search(self, query: str, limit: int) -> Sequence[Found]:
        return self.index().search(query, limit)

    def rarity(self, terms: Iterable[str]) -> Mapping[str, float]:
        return self.index().rarity(terms)

    def fetch(self, address: str) -> Document:
        path = (self._root / address).resolve()
        kind = kind_of(address)
        if not kind or not path.is_relative_to(self._root.resolve()) or not path.is_file() or path.is_symlink():
            raise SourceGone(f"{self._name} has no document {address}")
        return self._read(path, address, kind)

    def index(self) -> PassageIndex:
        """Raises `CorpusUnavailable`."""
        if self._index is None:
            key = mark(self._name, self._root, files_below(self._root), self._embedder) if self._kept else ""
            found = load(self._kept, key) if self._kept else None
            made = found or self._read_all()
            index = PassageIndex(made.passages, self._embedder, made.vectors)
            if self._kept and found is None:
                store(self._kept, key, replace(made, vectors=index.vectors))
            self._documents, self.problems, self._index = made.documents, made.problems, index
        return self._index

    def _read_all(self) -> Kept:
        passages: list[Passage] = []
        problems = []
        documents = 0
        for document in self._all():
            documents += 1
            passages += passages_of(document, self._name)
            if document.problem:
                problems.append(f"{document.address}: {document.problem}")
        if not documents:
            raise CorpusUnavailable(
                f"{self._root} has no documents: put files there whose names end in {', '.join(SUFFIXES)}"
            )
        return Kept(passages, None, documents, tuple(problems))

    def _all(self) -> Iterator[Document]:
        if not self._root.is_dir():
            raise CorpusUnavailable(f"{self._root} is not a folder: name one that holds documents")
        size = 0
        for path in files_below(self._root):
            try:
                size += path.stat().st_size
            except OSError:
                continue
            if size > MOST_BYTES:
                return
            address = path.relative_to(self._root).as_posix()
            yield self._read(path, address, kind_of(address))

    def _read(self, path: Path, address: str, kind: str) -> Document:
        try:
            with path.open("rb") as file:
                raw = file.read(LARGEST_FILE + 1)
        except OSError as error:
            return Document(address, path.name, (), trust=self._trust, problem=f"cannot be read: {error.strerror}")
        return read(raw, kind, address, self._trust)


def files_below(root: Path) -> Iterator[Path]:
    """The documents below a folder by name, at most `MOST_FILES`."""
    count = 0
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _SKIPPED)
        for name in sorted(files):
            path = Path(folder) / name
            if kind_of(name) and not path.is_symlink():
                yield path
                count += 1
                if count >= MOST_FILES:
                    return
