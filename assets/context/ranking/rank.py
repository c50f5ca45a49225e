"""Ranks the chunks of an index for a text: a weighted sum of signals, each with its reason.

A sum of scaled scores rather than of reciprocal ranks: BM25's margins say how sure it is, and a stack
frame must be able to outweigh any number of weak agreements. Vectors enter by rank, since their
distances have no common scale. What speaks for one chunk of a file speaks, a little less, for the
others too: a request is about a file before it is about a line. Places are spread over files: the n-th
place of a file loses log2(n), or a few long files would fill every list. Weights are learned on the
development set (see `assets.context.ranking.weights`).
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
"""Scores are rounded, so that the order of summing never decides between equals."""

_BLOCK = 64
CANDIDATES = 100
"""Signals that read what was found so far read this many chunks."""


class Picked(NamedTuple):
    """Documents, best first, with their scores. `places` says which place of its file each counts as, from 1."""

    documents: Ints
    scores: Floats
    places: Ints


class Ranking:
    """Every document's score, and what of it each signal gave."""

    def __init__(self, manifest: Manifest, weights: Mapping[str, float]) -> None:
        self.scores: dict[str, Scores] = {}
        self._manifest = manifest
        self._weights = weights
        self._own = np.zeros(manifest.documents)
        self._files = np.zeros(len(manifest.paths))
        self._best: dict[str, Floats] = {}

    def add(self, name: str, found: Scores) -> None:
        """Counts one signal in."""
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
        """Their numbers, and where their documents begin."""
        offsets = self._manifest.offsets
        files = np.flatnonzero(np.diff(offsets))
        return files, offsets[files]

    def total(self) -> Floats:
        """The scores, of shape (documents,)."""
        return np.asarray(np.round(self._sum(), _DIGITS))

    def best(self, count: int) -> Picked:
        """The documents with the highest scores, whatever their files; equals in order of their number."""
        exact = self._sum()
        among = np.flatnonzero(exact >= _lowest_of_best(exact, count) - 10.0**-_DIGITS)
        rounded = np.round(exact[among], _DIGITS)
        order = np.argsort(-rounded, kind="stable")[:count]
        return Picked(among[order], rounded[order], np.ones(len(order), dtype=np.int64))

    def spread(self, count: int) -> Picked:
        """The best `count` documents where the n-th of a file loses log2(n); equals in order of their number."""
        exact = self._sum()
        _, starts = self._manifest.once("files with documents", self._files_with_documents)
        # At least `count` keep this much: the first of each file, or the best of all if they were one file's.
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
        """The best document of each of the `count` best files; equals in order of their number."""
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
        """How many documents each file has."""
        return np.diff(self._manifest.offsets)

    def share(self, name: str, document: int) -> float:
        """What a signal gave to a document's score."""
        found, file = self.scores[name], int(self._manifest.file_of[document])
        if found.of_files:
            return float(self._weights[name] * found.values[file])
        mixed = OWN * found.at(document) + (1 - OWN) * self._best[name][file]
        return float(self._weights[name] * mixed)

    def reason(self, name: str, document: int) -> str:
        """Why a signal gave to a document."""
        found = self.scores[name]
        return found.detail(document) if found.of_files or found.at(document) else "elsewhere in the file"


def score(index: Index, query: Query, *, off: Collection[str] = (), weights: Mapping[str, float] = WEIGHTS) -> Ranking:
    """Weighs all documents. Signals without a weight, and those named in `off`, are not asked.

    Raises `ValueError` for a name in `off` that no signal has.
    """
    if unknown := sorted(set(off).difference(ALL, FOLLOWERS)):
        raise ValueError(
            f"there is no signal {unknown[0]!r} to leave out: it is one of {', '.join((*ALL, *FOLLOWERS))}"
        )
    ranking = Ranking(index.manifest, weights)
    # Asked for at once, since signals that ask one after the other wait for the database as often.
    named = [f"=:{name}" for name in query.names]
    index.postings([*query.terms, *(f"={term}" for term in query.terms), *named])
    asked = {name: signal for name, signal in ALL.items() if name not in off and weights.get(name)}
    for name, expect in EXPECTED.items():
        if name in asked:
            expect(query, index)
    for name, signal in asked.items():
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
    """The lowest of the `count` highest values, or of all if there are no more."""
    if len(values) > _BLOCK * count:
        # The `count` highest maxima of blocks are `count` values: none of the highest lies below the least of them.
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
    """The `k` likeliest places, spread over files, best first; ties go by path and line. `off` names signals to
    leave out."""
    return _locations(index, text, k, Ranking.spread, off, weights)


def rank_files(
    index: Index,
    text: str,
    k: int = 20,
    *,
    off: Collection[str] = (),
    weights: Mapping[str, float] = WEIGHTS,
) -> list[Location]:
    """As `rank`, for files: the best place of each of the `k` likeliest."""
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
    """What the plan stage is given for a task with this text. Not spread over files, since the engine `search` takes
    the scores for the odds of functions."""
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
