"""Postings for BM25: which chunks contain a term, and how often.

Postings are stored in segments, as in Lucene: each batch of contents becomes a segment, which never changes.
Its chunks have slots, numbered from 0 in the order of its contents. A term has one row per segment, of pairs
(slot, count), so a first index writes one row for some thousands of chunks instead of one per file.
"""

from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count

import numpy as np
from numpy.typing import NDArray

Pairs = NDArray[np.uint16]
"""Shape (n, 2): slot and count, slots ascending."""

PAIR_BYTES = 4
MOST_SLOTS = 1 << 16
MOST_COUNT = (1 << 16) - 1


class PostingsBuilder:
    """Inverts the term counts of chunks. Memory is proportional to the number of pairs."""

    def __init__(self) -> None:
        self._numbers: defaultdict[str, int] = defaultdict(count().__next__)
        self._terms = array("i")  # of each pair, by number
        self._counts = array("i")
        self._sizes = array("i")  # pairs of each chunk

    @property
    def slots(self) -> int:
        return len(self._sizes)

    def add(self, counted: Iterable[Mapping[str, int]]) -> None:
        """Adds chunks at the next slots: the term counts of each."""
        number = self._numbers.__getitem__  # gives a new term the next number
        for counts in counted:
            self._terms.extend(map(number, counts))
            self._counts.extend(counts.values())
            self._sizes.append(len(counts))

    def add_numbered(
        self, names: Sequence[str], sizes: NDArray[np.int32], numbers: NDArray[np.int32], counts: NDArray[np.int32]
    ) -> None:
        """Adds chunks at the next slots. Chunk n has the next `sizes[n]` pairs of `numbers` and `counts`; the term of
        a number is `names[number]`."""
        is_used = np.zeros(len(names), dtype=bool)
        is_used[numbers] = True
        used = np.flatnonzero(is_used)
        own = np.empty(len(names), dtype=np.int32)
        own[used] = [self._numbers[names[number]] for number in used.tolist()]
        self._terms.frombytes(own[numbers].tobytes())
        self._counts.frombytes(counts.tobytes())
        self._sizes.frombytes(sizes.tobytes())

    def merge(self, other: "PostingsBuilder") -> None:
        """Adds the chunks of `other` at the next slots, in its order."""
        numbers = np.fromiter(map(self._numbers.__getitem__, other._numbers), np.int32, len(other._numbers))
        self._terms.frombytes(numbers[np.frombuffer(other._terms, np.int32)].tobytes())
        self._counts.extend(other._counts)
        self._sizes.extend(other._sizes)

    def to_plain(self) -> tuple[list[str], bytes, bytes, bytes]:
        """Plain values that `marshal` can write, for another process."""
        return list(self._numbers), self._terms.tobytes(), self._counts.tobytes(), self._sizes.tobytes()

    @classmethod
    def from_plain(cls, plain: tuple[list[str], bytes, bytes, bytes]) -> "PostingsBuilder":
        made = cls()
        for term in plain[0]:
            made._numbers[term]
        for kept, raw in zip((made._terms, made._counts, made._sizes), plain[1:], strict=True):
            kept.frombytes(raw)
        return made

    def arrays(self) -> Iterator[tuple[str, NDArray[np.int32], NDArray[np.int32]]]:
        """(term, slots, counts) of every term, in code point order."""
        names, ends, slots, counts = self._inverted()
        start = 0
        for name, end in zip(names, ends.tolist(), strict=True):
            yield name, slots[start:end], counts[start:end]
            start = end

    def packed(self) -> tuple[list[str], NDArray[np.int64], bytes]:
        """The terms in code point order, the index after the last pair of each, and the packed pairs of all terms,
        concatenated."""
        names, ends, slots, counts = self._inverted()
        return names, ends, pack(slots, counts)

    def _inverted(self) -> tuple[list[str], NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]:
        sizes = np.frombuffer(self._sizes, np.int32)
        numbers = np.frombuffer(self._terms, np.int32)
        names = list(self._numbers)
        ordered = sorted(range(len(names)), key=names.__getitem__)
        rank = np.empty(len(names), dtype=np.int32)
        rank[ordered] = np.arange(len(names), dtype=np.int32)
        ranks = rank[numbers]
        order = np.argsort(ranks, kind="stable")
        slots = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)[order]
        counts = np.minimum(np.frombuffer(self._counts, np.int32)[order], MOST_COUNT)
        ends = np.cumsum(np.bincount(ranks, minlength=len(names)))
        return [names[number] for number in ordered], ends, slots, counts


def pack(slots: NDArray[np.int32], counts: NDArray[np.int32]) -> bytes:
    """The pairs as little-endian unsigned 16-bit numbers."""
    pairs = np.empty((len(slots), 2), dtype="<u2")
    pairs[:, 0], pairs[:, 1] = slots, counts
    return pairs.tobytes()


def unpack(hits: bytes) -> Pairs:
    pairs: Pairs = np.frombuffer(hits, dtype="<u2").reshape(-1, 2)
    return pairs
