"""What ranking needs of an index; the index in Postgres and the one in memory both are one.

A document is a chunk in a file. Documents are numbered from 0 by path (in byte order) and place in
the file, so that two indexes of one commit number them alike.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from assets.context.chunking.chunks import Chunk
from assets.context.ranking.history import PastCommits

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_T = TypeVar("_T")


@dataclass(frozen=True)
class Manifest:
    """The files of one commit as indexed. File i has the documents `offsets[i]` to `offsets[i + 1] - 1`."""

    paths: tuple[str, ...]
    offsets: Ints
    lengths: Ints

    _kept: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def once(self, name: str, make: Callable[[], _T]) -> _T:
        """What `make` returns, made at the first call for this name: for what signals derive from the files alone."""
        if name not in self._kept:
            self._kept[name] = make()
        found: _T = self._kept[name]
        return found

    @property
    def documents(self) -> int:
        return len(self.lengths)

    @cached_property
    def file_of(self) -> Ints:
        """The file number of each document."""
        return np.repeat(np.arange(len(self.paths)), np.diff(self.offsets))

    @cached_property
    def file_lengths(self) -> Ints:
        sums = np.zeros(len(self.paths), dtype=np.int64)
        np.add.at(sums, self.file_of, self.lengths)
        return sums

    @cached_property
    def number(self) -> Mapping[str, int]:
        """The file number of a path."""
        return {path: number for number, path in enumerate(self.paths)}

    def in_files(self, documents: Ints, counts: Ints) -> tuple[Ints, Ints]:
        """The files of these documents, which ascend and are at least one, with the sums of their counts."""
        files = self.file_of[documents]
        first = np.flatnonzero(np.diff(files, prepend=-1))
        return files[first], np.add.reduceat(counts, first)

    def documents_of(self, file: int) -> range:
        return range(int(self.offsets[file]), int(self.offsets[file + 1]))


class Index(Protocol):
    """One commit of one source, as indexed with any number of embedding models."""

    @property
    def source(self) -> str: ...

    @property
    def commit(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def models(self) -> tuple[str, ...]:
        """The identities of the models whose vectors `nearest` can compare, the preferred one first."""

    def coverage(self, model: str) -> float:
        """The share of the documents that have a vector of this model, from 0 to 1."""

    @property
    def manifest(self) -> Manifest: ...

    @property
    def history(self) -> PastCommits:
        """The commits up to this one, newest first, as far back as they are kept."""

    def postings(self, terms: Sequence[str]) -> Mapping[str, tuple[Ints, Ints]]:
        """For each term that occurs: the documents that hold it, ascending, and how often each does."""

    def file_postings(self, terms: Sequence[str]) -> Mapping[str, tuple[Ints, Ints]]:
        """As `postings`, for whole files: their numbers, ascending, and counts."""

    def chunks(self, documents: Sequence[int]) -> list[Chunk]:
        """The chunks of these documents, in the order asked for."""

    def expect(self, model: str, text: str, count: int) -> None:
        """Says that `nearest` will be asked for this, so that the search can go on meanwhile. That a model
        does not answer is raised there."""

    def nearest(self, model: str, text: str, count: int) -> tuple[Ints, Floats]:
        """The documents whose vectors by `model`, one of `models`, are closest to the text's, best first, with
        their cosine similarity."""

    @property
    def unanswered(self) -> frozenset[str]:
        """Those of `models` that did not answer when they were asked: the search went on without them."""
