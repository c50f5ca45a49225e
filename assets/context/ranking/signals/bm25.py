"""BM25 (Robertson and Zaragoza, 2009) over the terms of chunks and over those of whole files.

Document frequencies are counted from the postings of the indexed commit, so they are exact, whatever was indexed
before. The idf is Lucene's, which is never negative.
"""

import math
from collections.abc import Mapping
from functools import cached_property

import numpy as np

from assets.context.ranking.index import Floats, Index, Ints
from assets.context.ranking.query import Query
from assets.context.ranking.signals.scores import Scores, to_unit

K1 = 1.2
B_CHUNK = 0.5
B_FILE = 0.75
B_TITLE = 0.5
_WORDS_NAMED = 6


def idf(documents: int, frequency: int) -> float:
    return math.log1p((documents - frequency + 0.5) / (frequency + 0.5))


def length_norm(lengths: Ints, b: float) -> Floats:
    """The length-dependent term in the denominator of BM25, for each document."""
    mean = float(lengths.mean()) if len(lengths) else 1.0
    return np.asarray(K1 * (1 - b + b * lengths / max(mean, 1.0)), dtype=np.float64)


def term_scores(weight: float, counts: Ints | Floats, norm: Floats) -> Floats:
    """The BM25 scores of documents that contain a term `counts` times; `weight` includes its idf."""
    return np.asarray(weight * counts * (K1 + 1) / (counts + norm), dtype=np.float64)


def holds(ascending: Ints, number: int) -> bool:
    """Whether `number` is in the sorted array."""
    place = int(ascending.searchsorted(number))
    return place < len(ascending) and bool(ascending[place] == number)


def score_chunks(query: Query, index: Index) -> Scores:
    manifest = index.manifest
    found = index.postings(list(query.terms))
    values = np.zeros(manifest.documents)
    norm = manifest.once("bm25 norm of chunks", lambda: length_norm(manifest.lengths, B_CHUNK))
    _add(values, found, query.terms, norm)
    return Scores(to_unit(values), _MatchedWords(found, query, manifest.documents).listed)


def score_files(query: Query, index: Index) -> Scores:
    return _whole_files(query, index, query.terms, B_FILE)


def score_title(query: Query, index: Index) -> Scores:
    """As `score_files`, for the words of the first line only."""
    return _whole_files(query, index, query.title, B_TITLE)


def _whole_files(query: Query, index: Index, weights: Mapping[str, float], b: float) -> Scores:
    manifest = index.manifest
    in_files = index.file_postings(list(weights))
    values = np.zeros(len(manifest.paths))
    norm = manifest.once(f"bm25 norm of files {b}", lambda: length_norm(manifest.file_lengths, b))
    _add(values, in_files, weights, norm)
    matched = _MatchedWords(in_files, query, len(manifest.paths))
    return Scores(to_unit(values), lambda document: matched.listed(int(manifest.file_of[document])), of_files=True)


def _add(values: Floats, found: Mapping[str, tuple[Ints, Ints]], weights: Mapping[str, float], norm: Floats) -> None:
    for term in sorted(found):
        documents, counts = found[term]
        values[documents] += term_scores(weights[term] * idf(len(norm), len(documents)), counts, norm[documents])


class _MatchedWords:
    """Names the words of the text that a document or file contains, heaviest first."""

    def __init__(self, found: Mapping[str, tuple[Ints, Ints]], query: Query, documents: int) -> None:
        self._found, self._query, self._documents = found, query, documents

    @cached_property
    def _words(self) -> list[tuple[str, Ints]]:
        weighed = [
            (self._query.terms[term] * idf(self._documents, len(where)), term, where)
            for term, (where, _) in self._found.items()
        ]
        weighed.sort(key=lambda one: one[:2], reverse=True)
        return [(self._query.written.get(term, term), where) for _, term, where in weighed]

    def listed(self, number: int) -> str:
        best: dict[str, None] = {}
        for word, where in self._words:
            if word not in best and holds(where, number):
                best[word] = None
                if len(best) == _WORDS_NAMED:
                    break
        return "contains " + ", ".join(best) if best else ""
