"""Ranks the chunks of an index for a text: a weighted sum of signals, each with its reason.

Scaled scores are summed, not reciprocal ranks: BM25's margins show how certain it is, and a stack frame must be
able to outweigh any number of weak matches. Vectors are scored by rank, since their distances have no common
scale. A match of one chunk also counts, somewhat less, for the other chunks of its file, since a request is about
a file before it is about a line. Places are spread over files: the n-th place of a file loses log2(n); otherwise a
few long files would fill every list. The weights are learned on the development set (see
`assets.context.ranking.weights`).
"""

import math
import time
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

import numpy as np

from assets.context.ranking.index import Floats, Index, Ints, Manifest
from assets.context.ranking.query import Query, read_query
from assets.context.ranking.signals import ALL, EXPECTED, FOLLOWERS, Found, Scores
from assets.context.ranking.weights import OWN, WEIGHTS
from core.work import Location, Reason, TaskContext

_DIGITS = 6
"""Scores are rounded, so that the order of summation never decides between equals."""

_BLOCK = 64
CANDIDATES = 100
"""The followers, signals that use the results of others, read this many of the best chunks."""


class Picked(NamedTuple):
    """Documents, best first, with their scores. `places` is the rank among the places of its file, from 1."""

    documents: Ints
    scores: Floats
    places: Ints


class Ranking:
    """The score of every document, and each signal's contribution to it."""

    def __init__(self, manifest: Manifest, weights: Mapping[str, float]) -> None:
        self.scores: dict[str, Scores] = {}
        self._manifest = manifest
        self._weights = weights
        self._own = np.zeros(manifest.documents)
        self._files = np.zeros(len(manifest.paths))
        self._best: dict[str, Floats] = {}

    def add(self, name: str, found: Scores) -> None:
        """Adds the scores of one signal."""
        weight = self._weights[name]
        self.scores[name] = found
        if found.of_files:
            self._files += weight * found.values
            return
        best = np.zeros(len(self._manifest.paths))
        if found.documents is not None:
            np.maximum.at(best, self._manifest.file_of[found.documents], found.values)
            self._own[found.documents] += OWN * weight * found.values
        else:
            files, starts = self._manifest.once("files with documents", self._files_with_documents)
            best[files] = np.maximum.reduceat(found.values, starts)
            self._own += (OWN * weight) * found.values
        self._best[name] = best
        self._files += (1 - OWN) * weight * best

    def _files_with_documents(self) -> tuple[Ints, Ints]:
        """The files that have documents, and the first document of each."""
        offsets = self._manifest.offsets
        files = np.flatnonzero(np.diff(offsets))
        return files, offsets[files]

    def total(self) -> Floats:
        """The scores, of shape (documents,)."""
        return np.asarray(np.round(self._sum(), _DIGITS))

    def best(self, count: int) -> Picked:
        """The `count` documents with the highest scores, whatever their files; ties in the order of their numbers."""
        exact = self._sum()
        among = np.flatnonzero(exact >= _lowest_of_best(exact, count) - 10.0**-_DIGITS)
        rounded = np.round(exact[among], _DIGITS)
        order = np.argsort(-rounded, kind="stable")[:count]
        return Picked(among[order], rounded[order], np.ones(len(order), dtype=np.int64))

    def spread(self, count: int) -> Picked:
        """The best `count` documents if the n-th of a file loses log2(n); ties in the order of their numbers."""
        exact = self._sum()
        _, starts = self._manifest.once("files with documents", self._files_with_documents)
        # A bound below the result's lowest score: by the best of each file, or as if all were of one file.
        if len(starts) >= count:
            lowest = _lowest_of_best(np.maximum.reduceat(exact, starts), count)
        else:
            lowest = _lowest_of_best(exact, count) - math.log2(count)
        among = np.flatnonzero(exact >= lowest - 10.0**-_DIGITS)
        rounded = np.round(exact[among], _DIGITS)
        file_of = self._manifest.file_of[among]
        by_file = np.lexsort((-rounded, file_of))
        _, firsts, held = np.unique(file_of, return_index=True, return_counts=True)
        places = np.empty(len(among), dtype=np.int64)
        places[by_file] = np.arange(1, len(among) + 1) - np.repeat(firsts, held)
        lowered: Floats = np.round(rounded - np.log2(places), _DIGITS)
        order = np.argsort(-lowered, kind="stable")[:count]
        return Picked(among[order], lowered[order], places[order])

    def best_of_files(self, count: int) -> Picked:
        """The best document of each of the `count` best files; ties in the order of their numbers."""
        exact = self._sum()
        _, starts = self._manifest.once("files with documents", self._files_with_documents)
        best: Floats = np.maximum.reduceat(exact, starts)
        among = np.flatnonzero(best >= _lowest_of_best(best, count) - 10.0**-_DIGITS)
        rounded = np.round(best[among], _DIGITS)
        order = np.argsort(-rounded, kind="stable")[:count]
        begin, end = starts[among[order]], np.append(starts, len(exact))[among[order] + 1]
        first = [a + int(np.round(exact[a:b], _DIGITS).argmax()) for a, b in zip(begin, end, strict=True)]
        return Picked(np.array(first, dtype=np.int64), rounded[order], np.ones(len(order), dtype=np.int64))

    def _sum(self) -> Floats:
        spread: Floats = np.repeat(self._files, self._manifest.once("documents of files", self._documents_of_files))
        spread += self._own
        return spread

    def _documents_of_files(self) -> Ints:
        """The number of documents of each file."""
        return np.diff(self._manifest.offsets)

    def share(self, name: str, document: int) -> float:
        """A signal's contribution to a document's score."""
        found, file = self.scores[name], int(self._manifest.file_of[document])
        if found.of_files:
            return float(self._weights[name] * found.values[file])
        mixed = OWN * found.at(document) + (1 - OWN) * self._best[name][file]
        return float(self._weights[name] * mixed)

    def reason(self, name: str, document: int) -> str:
        """The reason for a signal's contribution to a document."""
        found = self.scores[name]
        return found.detail(document) if found.of_files or found.at(document) else "elsewhere in the file"


def score(index: Index, query: Query, *, off: Collection[str] = (), weights: Mapping[str, float] = WEIGHTS) -> Ranking:
    """Scores all documents by the signals that have a weight and are not in `off`.

    Raises `ValueError` for a name in `off` that is not a signal.
    """
    if unknown := sorted(set(off).difference(ALL, FOLLOWERS)):
        raise ValueError(
            f"{unknown[0]!r} is not a signal that can be left out: choose from {', '.join((*ALL, *FOLLOWERS))}"
        )
    ranking = Ranking(index.manifest, weights)
    # Read together, so that the signals don't each wait for the database.
    named = [f"=:{name}" for name in query.names]
    index.postings([*query.terms, *(f"={term}" for term in query.terms), *named])
    used = {name: signal for name, signal in ALL.items() if name not in off and weights.get(name)}
    for name, expect in EXPECTED.items():
        if name in used:
            expect(query, index)
    for name, signal in used.items():
        ranking.add(name, signal(query, index))
    followers = {name: signal for name, signal in FOLLOWERS.items() if name not in off and weights.get(name)}
    if followers:
        best, scores, _ = ranking.best(CANDIDATES)
        found = _found(index, best, scores)
        for name, follower in followers.items():
            ranking.add(name, follower(query, index, found))
    return ranking


def _found(index: Index, best: Ints, scores: Floats) -> Found:
    span = float(scores[0] - scores[-1]) or 1.0
    return Found(best, (scores - scores[-1]) / span * 0.95 + 0.05, index.chunks(best.tolist()))


def _lowest_of_best(values: Floats, count: int) -> float:
    """The `count`-th highest value, or the lowest if there are fewer."""
    if len(values) > _BLOCK * count:
        # The `count` highest block maxima are `count` values, so the result is not below the lowest of them.
        blocks = values[: len(values) // _BLOCK * _BLOCK].reshape(-1, _BLOCK).max(axis=1)
        values = values[values >= np.partition(blocks, len(blocks) - count)[len(blocks) - count]]
    place = max(0, len(values) - count)
    return float(np.partition(values, place)[place])


def rank(
    index: Index,
    text: str,
    k: int = 20,
    *,
    off: Collection[str] = (),
    weights: Mapping[str, float] = WEIGHTS,
) -> list[Location]:
    """The `k` places that best match a text, spread over files, best first; ties by path and line. `off` names signals
    to leave out."""
    return _locations(index, text, k, Ranking.spread, off, weights)


def rank_files(
    index: Index,
    text: str,
    k: int = 20,
    *,
    off: Collection[str] = (),
    weights: Mapping[str, float] = WEIGHTS,
) -> list[Location]:
    """As `rank`, for files: the best place in each of the `k` best files."""
    return _locations(index, text, k, Ranking.best_of_files, off, weights)


def _locations(
    index: Index,
    text: str,
    k: int,
    pick: Callable[[Ranking, int], Picked],
    off: Collection[str],
    weights: Mapping[str, float],
) -> list[Location]:
    manifest = index.manifest
    if not manifest.documents or k < 1:
        return []
    ranking = score(index, read_query(text), off=off, weights=weights)
    documents, scores, places = (column.tolist() for column in pick(ranking, k))
    locations = []
    for document, total, place, chunk in zip(documents, scores, places, index.chunks(documents), strict=True):
        why = [
            Reason(signal=name, detail=ranking.reason(name, document), contribution=round(value, 4))
            for name in ranking.scores
            if (value := ranking.share(name, document))
        ]
        if place > 1:
            lost = round(-math.log2(place), 4)
            why.append(Reason(signal="spread", detail=f"place {place} of this file", contribution=lost))
        locations.append(
            Location(
                path=manifest.paths[int(manifest.file_of[document])],
                start_line=chunk.start_line,
                end_line=chunk.end_line,
                symbol=chunk.symbol,
                score=total,
                why=tuple(sorted(why, key=lambda reason: -abs(reason.contribution))),
            )
        )
    return locations


def build_task_context(index: Index, text: str, k: int = 20) -> TaskContext:
    """The input of the plan stage for a task with this text. Not spread over files, since the engine `search` uses
    the scores as the log-odds of functions."""
    started = time.perf_counter()
    locations = _locations(index, text, k, Ranking.best, (), WEIGHTS)
    return TaskContext(
        source=index.source,
        commit=index.commit,
        index_version=index.version,
        models=tuple(f"{model} (did not answer)" if model in index.unanswered else model for model in index.models),
        locations=tuple(locations),
        seconds=time.perf_counter() - started,
    )
