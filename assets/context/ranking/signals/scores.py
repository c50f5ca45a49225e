"""What a signal returns: a value for each document, and words for the reason.

Values are by document, or by file where all of a file has the same; a signal that says something of a
few documents names those. They are 0 where the signal says nothing and at most 1 (a signal that lowers:
at least -1), so that weights compare.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from assets.context.chunking.chunks import Chunk
from assets.context.ranking.index import Floats, Index, Ints
from assets.context.ranking.query import Query


@dataclass(frozen=True, slots=True)
class Scores:
    """`values` has the shape (documents,); with `of_files` (files,); with `documents`, ascending, theirs."""

    values: Floats
    detail: Callable[[int], str]
    """The reason for one document, made only for those that are returned."""
    of_files: bool = False
    documents: Ints | None = None

    def at(self, document: int) -> float:
        """The value of one document; not for values of files."""
        if self.documents is None:
            return float(self.values[document])
        place = int(self.documents.searchsorted(document))
        held = place < len(self.documents) and self.documents[place] == document
        return float(self.values[place]) if held else 0.0


def some(said: Mapping[int, float], detail: Callable[[int], str]) -> Scores:
    """The values of a few documents; 1 is the most."""
    documents = np.array(sorted(said), dtype=np.int64)
    values = np.array([said[document] for document in documents.tolist()], dtype=np.float64)
    return Scores(np.minimum(values, 1.0), detail, documents=documents)


Signal = Callable[[Query, Index], Scores]


@dataclass(frozen=True)
class Found:
    """What the first signals found: the best documents, best first, with the chunks that they are and a strength
    of at most 1 each."""

    documents: Ints
    strength: Floats
    chunks: list[Chunk]

    def files(self, index: Index, count: int) -> list[tuple[int, float]]:
        """The first `count` files among them, each with the strength of its best document."""
        best: dict[int, float] = {}
        for document, strength in zip(self.documents.tolist(), self.strength.tolist(), strict=True):
            best.setdefault(int(index.manifest.file_of[document]), strength)
            if len(best) == count:
                break
        return list(best.items())


Follower = Callable[[Query, Index, Found], Scores]
"""A signal that starts from what others found."""


def nothing() -> Scores:
    return some({}, lambda document: "")


def to_unit(values: Floats) -> Floats:
    """Scaled so that the highest is 1. The distances between scores stay, which ranks would lose."""
    top = float(values.max()) if len(values) else 0.0
    return values / top if top > 0 else values
