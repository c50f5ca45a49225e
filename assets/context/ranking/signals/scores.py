"""The result of a signal: values of documents, and the reasons as text.

There is a value for each document, for each file if it is the same for the whole file, or for a few listed
documents. It is 0 if the signal does not apply, and between -1 and 1, so that weights are comparable.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from assets.context.chunking.chunks import Chunk
from assets.context.ranking.index import Floats, Index, Ints
from assets.context.ranking.query import Query


@dataclass(frozen=True, slots=True)
class Scores:
    """`values` has one value for each document of the index, with `of_files` for each file, with `documents`
    (ascending) for each of those."""

    values: Floats
    detail: Callable[[int], str]
    """Returns the reason for a document; only called for documents in a result."""
    of_files: bool = False
    documents: Ints | None = None

    def at(self, document: int) -> float:
        """The value of a document. Not for values by file."""
        if self.documents is None:
            return float(self.values[document])
        place = int(self.documents.searchsorted(document))
        held = place < len(self.documents) and self.documents[place] == document
        return float(self.values[place]) if held else 0.0


def some(by_document: Mapping[int, float], detail: Callable[[int], str]) -> Scores:
    """The scores of a few documents, capped at 1."""
    documents = np.array(sorted(by_document), dtype=np.int64)
    values = np.array([by_document[document] for document in documents.tolist()], dtype=np.float64)
    return Scores(np.minimum(values, 1.0), detail, documents=documents)


Signal = Callable[[Query, Index], Scores]


@dataclass(frozen=True)
class Found:
    """The results of the signals, for followers: the best documents, best first, their strength from 0.05 to 1, and
    their chunks."""

    documents: Ints
    strength: Floats
    chunks: list[Chunk]

    def files(self, index: Index, count: int) -> list[tuple[int, float]]:
        """The best `count` files, each with the strength of its best document."""
        best: dict[int, float] = {}
        for document, strength in zip(self.documents.tolist(), self.strength.tolist(), strict=True):
            best.setdefault(int(index.manifest.file_of[document]), strength)
            if len(best) == count:
                break
        return list(best.items())


Follower = Callable[[Query, Index, Found], Scores]
"""A signal that uses the results of others."""


def nothing() -> Scores:
    return some({}, lambda document: "")


def to_unit(values: Floats) -> Floats:
    """The values scaled so that the highest is 1. Unlike ranks, this preserves the distances between scores."""
    top = float(values.max()) if len(values) else 0.0
    return values / top if top > 0 else values
