"""The protocol by which ranking reads an index, implemented in Postgres and in memory.

A document is a chunk of a file. Documents are numbered from 0 by path (in byte order) and position in the file,
so that all indexes of a commit number them alike.
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
    """The indexed files of one commit. File i has the documents `offsets[i]` to `offsets[i + 1] - 1`; `lengths` is the
    number of terms of each document."""

    paths: tuple[str, ...]
    offsets: Ints
    lengths: Ints

    _kept: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def once(self, name: str, make: Callable[[], _T]) -> _T:
        """The result of `make`, called only once per name: for values that signals derive from the files alone."""
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
        """Path -> file number."""
        return {path: number for number, path in enumerate(self.paths)}

    def in_files(self, documents: Ints, counts: Ints) -> tuple[Ints, Ints]:
        """The files of these documents, with the sums of their counts. `documents` must be ascending and not empty."""
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
        """The commits up to this one, newest first, as far back as they are stored."""

    def postings(self, terms: Sequence[str]) -> Mapping[str, tuple[Ints, Ints]]:
        """For each term that occurs: the documents that contain it, ascending, and its count in each."""

    def file_postings(self, terms: Sequence[str]) -> Mapping[str, tuple[Ints, Ints]]:
        """As `postings`, for whole files: file numbers, ascending, and counts."""

    def chunks(self, documents: Sequence[int]) -> list[Chunk]:
        """The chunks of these documents, in the same order."""

    def expect(self, model: str, text: str, count: int) -> None:
        """Announces a call of `nearest` with these arguments, so that the search can start. Errors are raised by that
        call."""

    def nearest(self, model: str, text: str, count: int) -> tuple[Ints, Floats]:
        """The documents whose vectors by `model`, one of `models`, are closest to the text's, best first, with their
        cosine similarity. Raises `EmbedderUnavailable`."""

    @property
    def unanswered(self) -> frozenset[str]:
        """Those of `models` that were unavailable, so that the search continued without them."""
