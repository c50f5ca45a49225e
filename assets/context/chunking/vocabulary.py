"""Counts the terms of many chunks together: a word is split into terms when it is first seen, and is a number
from then on.

The results equal those of `assets.context.chunking.content` for each chunk, as a test checks, in a third of the
time.
"""

import itertools
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import AnyStr

import numpy as np
from numpy.typing import NDArray

from assets.context.chunking import terms
from assets.context.chunking.chunks import Chunk
from assets.context.chunking.content import EMBEDDED_WORDS, TEXT_EMBEDDED, embedded_head, named_terms

MOST_WORDS = 1 << 17
"""The caller should replace a vocabulary that has more words than this."""

_SPLIT = bytes(code if chr(code).isascii() and (chr(code).isalnum() or chr(code) == "_") else 32 for code in range(256))


@dataclass(frozen=True, slots=True)
class Counted:
    """By chunk, `lengths` is the number of terms, `sizes` the number of distinct terms, and `texts` the text to embed.
    `numbers` (in the vocabulary) and `counts` hold the distinct terms of all chunks, concatenated."""

    lengths: list[int]
    sizes: NDArray[np.int32]
    numbers: NDArray[np.int32]
    counts: NDArray[np.int32]
    texts: list[str]


class Vocabulary:
    """Numbers words and terms in the order in which they are first seen; `terms[n]` is the term with number n."""

    def __init__(self) -> None:
        self.terms: list[str] = []
        self._numbers = _Numbers[str](self.terms.append)
        self._words = _Numbers[bytes](self._learn)
        self._ends = array("i", [0])  # the end of each word's terms in _expanded
        self._expanded = array("i")
        self._parts: list[str] = []  # of each word, in the embedded form

    def __len__(self) -> int:
        return len(self._words)

    def _learn(self, word: bytes) -> None:
        expanded, parts = terms.split(word.decode())
        self._expanded.extend(map(self._numbers.__getitem__, expanded))
        self._ends.append(len(self._expanded))
        self._parts.append(" ".join(parts))

    def count(self, chunks: Sequence[Chunk]) -> Counted:
        """Counts the terms of these chunks."""
        numbers = self._words.__getitem__
        words, ends = array("i"), array("q")
        names, named = array("i"), array("i")
        texts = []
        for place, chunk in enumerate(chunks):
            found = list(map(numbers, _words(chunk.text)))
            words.extend(found)
            ends.append(len(words))
            for term in named_terms(chunk):
                names.append(self._numbers[term])
                named.append(place)
            if len(chunk.text) > TEXT_EMBEDDED:
                found = list(map(numbers, _words(chunk.text[:TEXT_EMBEDDED])))
            texts.append(self._embedded([*map(numbers, _words(embedded_head(chunk))), *found]))
        return self._counted(
            np.frombuffer(words, np.int32),
            np.frombuffer(ends, np.int64),
            np.frombuffer(names, np.int32),
            np.frombuffer(named, np.int32),
            texts,
        )

    def _embedded(self, words: list[int]) -> str:
        # Every word has at least one part, except one of underscores only.
        some = filter(None, map(self._parts.__getitem__, words))
        found = " ".join(itertools.islice(some, EMBEDDED_WORDS))
        if found.count(" ") < EMBEDDED_WORDS:
            return found
        return " ".join(found.split(" ", EMBEDDED_WORDS)[:EMBEDDED_WORDS])

    def _counted(
        self,
        words: NDArray[np.int32],
        ends: NDArray[np.int64],
        names: NDArray[np.int32],
        named: NDArray[np.int32],
        texts: list[str],
    ) -> Counted:
        chunks = len(ends)
        edges = np.frombuffer(self._ends, np.int32)
        first = edges[words]
        many = edges[words + 1] - first
        before = np.concatenate(([0], np.cumsum(many)))
        lengths = np.diff(before[np.concatenate(([0], ends))])
        found = np.frombuffer(self._expanded, np.int32)[
            np.repeat(first - before[:-1], many) + np.arange(before[-1], dtype=np.int64)
        ]
        width = max(1, len(self.terms))
        places = np.concatenate((np.repeat(np.arange(chunks), lengths), named)).astype(np.int64)
        keys = np.sort(places * width + np.concatenate((found, names)))
        starts = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1]))) if len(keys) else keys
        counts = np.diff(np.append(starts, len(keys)))
        places, numbers = np.divmod(keys[starts], width)
        return Counted(
            lengths.tolist(),
            np.bincount(places, minlength=chunks).astype(np.int32),
            numbers.astype(np.int32),
            counts.astype(np.int32),
            texts,
        )


class _Numbers(dict[AnyStr, int]):
    """Numbers by name; a new name gets the next number and is passed to `learn`."""

    def __init__(self, learn: Callable[[AnyStr], None]) -> None:
        super().__init__()
        self._learn: Callable[[AnyStr], None] = learn

    def __missing__(self, name: AnyStr) -> int:
        number = len(self)
        self._learn(name)
        self[name] = number
        return number


def _words(text: str) -> list[bytes]:
    """`terms.words`, encoded. Most texts are ASCII, which is split faster without a regular expression."""
    if text.isascii():
        return text.encode().translate(_SPLIT).split()
    return [word.encode() for word in terms.words(text)]
