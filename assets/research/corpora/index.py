"""Passages in memory, searched by BM25 and by vectors; the two rankings are fused by reciprocal ranks.

BM25: Robertson and Zaragoza, The Probabilistic Relevance Framework, 2009, with k1 = 1.2 and b = 0.75. Fusion: Cormack,
Clarke and Büttcher, Reciprocal Rank Fusion, SIGIR 2009, with k = 60.
"""

from collections.abc import Iterable, Sequence
from math import log

import numpy as np
from numpy.typing import NDArray

from assets.research.records import Found, Passage
from assets.research.text.words import WEAK, terms
from core.embedding import Embedder

_K1, _B, _FUSED = 1.2, 0.75, 60
_TITLE_WEIGHT = 2
"""Words of title and heading count as if they stood in the text this often."""
_DEPTH = 200
"""Passages of each ranking that are fused."""


class PassageIndex:
    """An index over passages that does not change. Vectors are there only with an embedder."""

    def __init__(
        self, passages: Sequence[Passage], embedder: Embedder | None, vectors: NDArray[np.float32] | None = None
    ) -> None:
        """`vectors` are those of the embedder for these passages, where they are known already."""
        self.passages = list(passages)
        self._embedder = embedder
        self._vocabulary: dict[str, int] = {}
        self._build()
        self.vectors = vectors
        if vectors is None and embedder and self.passages:
            self.vectors = embedder.embed_documents([f"{p.title} {p.heading} {p.text}" for p in self.passages])

    def _build(self) -> None:
        ids: list[int] = []
        lengths = np.zeros(len(self.passages), dtype=np.int64)
        known = self._vocabulary
        head: dict[str, list[str]] = {}
        for row, passage in enumerate(self.passages):
            title = f"{passage.title} {passage.heading}"
            if title not in head:
                head[title] = terms(title) * _TITLE_WEIGHT
            found = [known.setdefault(term, len(known)) for term in (*terms(passage.text), *head[title])]
            ids.extend(found)
            lengths[row] = len(found)
        rows = np.repeat(np.arange(len(self.passages), dtype=np.int64), lengths)
        keys = np.array(ids, dtype=np.int64) * max(1, len(self.passages)) + rows
        unique, counts = np.unique(keys, return_counts=True)
        term, row_of = np.divmod(unique, max(1, len(self.passages)))
        self._rows: NDArray[np.int64] = row_of
        self._starts = np.searchsorted(term, np.arange(len(known) + 1))
        mean = float(lengths.mean()) if len(lengths) else 1.0
        norm = _K1 * (1 - _B + _B * lengths / max(mean, 1.0))
        self._weights = (counts * (_K1 + 1) / (counts + norm[row_of])).astype(np.float32)

    def frequency(self, term: str) -> int:
        """In how many passages a term is."""
        number = self._vocabulary.get(term)
        return 0 if number is None else int(self._starts[number + 1] - self._starts[number])

    def idf(self, term: str) -> float:
        """Rarity of a term: from nearly 0 for one that is everywhere to its greatest for one that is nowhere."""
        return idf(self.frequency(term), len(self.passages))

    def rarity(self, terms: Iterable[str]) -> dict[str, float]:
        """`idf` of each term as a share of the greatest."""
        most = idf(0, len(self.passages))
        return {term: round(self.idf(term) / most, 4) for term in terms}

    def search(self, query: str, limit: int) -> list[Found]:
        """The best passages by both rankings together, at most `limit`."""
        fused: dict[int, float] = {}
        for ranking in (self.by_words(query), self.by_vectors(query)):
            for rank, row in enumerate(ranking):
                fused[row] = fused.get(row, 0.0) + 1 / (_FUSED + rank + 1)
        best = sorted(fused.items(), key=lambda item: (-item[1], item[0]))[:limit]
        return [Found(self.passages[row], score) for row, score in best]

    def by_words(self, query: str) -> list[int]:
        scores = np.zeros(len(self.passages), dtype=np.float32)
        for term in dict.fromkeys(terms(query)):
            number = self._vocabulary.get(term)
            if number is None:
                continue
            part = slice(int(self._starts[number]), int(self._starts[number + 1]))
            weight = self.idf(term) * (0.3 if term in WEAK else 1.0)
            scores[self._rows[part]] += self._weights[part] * weight
        return _best(scores, 0.0)

    def by_vectors(self, query: str) -> list[int]:
        if self.vectors is None or self._embedder is None:
            return []
        return _best(self.vectors @ self._embedder.embed_query(query), 0.05)


def idf(frequency: int, passages: int) -> float:
    return log(1 + (passages - frequency + 0.5) / (frequency + 0.5))


def _best(scores: NDArray[np.float32], least: float) -> list[int]:
    count = min(_DEPTH, len(scores))
    if not count:
        return []
    top = np.argpartition(-scores, count - 1)[:count]
    top = top[np.lexsort((top, -scores[top]))]
    return [int(row) for row in top if scores[row] > least]
