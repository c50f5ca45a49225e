"""Ranks the chunks of an index for a text: a weighted sum of signals, each with its reason.

A sum of scaled scores rather than of reciprocal ranks: BM25's margins say how sure it is, and a stack
frame must be able to outweigh any number of weak agreements. Vectors enter by rank, since their
distances have no common scale. What speaks for one chunk of a file speaks, a little less, for the
others too: a request is about a file before it is about a line. Weights are learned on the development
set (see `assets.context.weights`).
"""

import time
from collections.abc import Collection, Mapping

import numpy as np

from assets.context.index import Floats, Index, Manifest
from assets.context.query import Query, read_query
from assets.context.signals import ALL, FOLLOWERS, Found, Scores
from assets.context.weights import OWN, WEIGHTS
from core.work import Location, Reason, TaskContext

CANDIDATES = 100
"""Signals that read what was found so far read this many chunks."""


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
        said = np.flatnonzero(found.values)
        if len(said) * 20 < len(found.values):  # most signals say something of a few documents only
            values = found.values[said]
            np.maximum.at(best, self._manifest.file_of[said], values)
            self._own[said] += OWN * weight * values
        else:
            offsets = self._manifest.offsets
            files = np.flatnonzero(np.diff(offsets))
            best[files] = np.maximum.reduceat(found.values, offsets[files])
            self._own += OWN * weight * found.values
        self._best[name] = best
        self._files += (1 - OWN) * weight * best

    def total(self) -> Floats:
        """The scores, of shape (documents,)."""
        return np.asarray(np.round(self._own + self._files[self._manifest.file_of], 6))

    def share(self, name: str, document: int) -> float:
        """What a signal gave to a document's score."""
        found, file = self.scores[name], int(self._manifest.file_of[document])
        if found.of_files:
            return float(self._weights[name] * found.values[file])
        mixed = OWN * found.values[document] + (1 - OWN) * self._best[name][file]
        return float(self._weights[name] * mixed)

    def reason(self, name: str, document: int) -> str:
        """Why a signal gave to a document."""
        found = self.scores[name]
        return found.detail(document) if found.of_files or found.values[document] else "elsewhere in the file"


def score(index: Index, query: Query, *, off: Collection[str] = (), weights: Mapping[str, float] = WEIGHTS) -> Ranking:
    """Weighs all documents. Signals without a weight, and those named in `off`, are not asked."""
    ranking = Ranking(index.manifest, weights)
    # Asked for at once, since signals that ask one after the other wait for the database as often.
    named = [f"=:{name}" for name in query.names]
    index.postings([*query.terms, *(f"={term}" for term in query.terms), *named])
    for name, signal in ALL.items():
        if name not in off and weights.get(name):
            ranking.add(name, signal(query, index))
    followers = {name: signal for name, signal in FOLLOWERS.items() if name not in off and weights.get(name)}
    if followers:
        found = _found(index, ranking.total())
        for name, follower in followers.items():
            ranking.add(name, follower(query, index, found))
    return ranking


def _found(index: Index, total: Floats) -> Found:
    best = _best(total, CANDIDATES)
    chosen = total[best]
    span = float(chosen[0] - chosen[-1]) or 1.0
    return Found(best, (chosen - chosen[-1]) / span * 0.95 + 0.05, index.chunks(best.tolist()))


def _best(total: Floats, count: int) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """The numbers of the highest, highest first; equals in order of their number."""
    if count < len(total):
        edge = np.partition(total, len(total) - count)[len(total) - count]
        among = np.flatnonzero(total >= edge)
    else:
        among = np.arange(len(total))
    return among[np.argsort(-total[among], kind="stable")][:count]


def rank(
    index: Index,
    text: str,
    k: int = 20,
    *,
    off: Collection[str] = (),
    weights: Mapping[str, float] = WEIGHTS,
) -> list[Location]:
    """The `k` likeliest places, best first; ties go by path and line. `off` names signals to leave out."""
    manifest = index.manifest
    if not manifest.documents or k < 1:
        return []
    ranking = score(index, read_query(text), off=off, weights=weights)
    total = ranking.total()
    best = _best(total, k).tolist()
    locations = []
    for document, chunk in zip(best, index.chunks(best), strict=True):
        why = tuple(
            Reason(signal=name, detail=ranking.reason(name, document), contribution=round(value, 4))
            for name in ranking.scores
            if (value := ranking.share(name, document))
        )
        locations.append(
            Location(
                path=manifest.paths[int(manifest.file_of[document])],
                start_line=chunk.start_line,
                end_line=chunk.end_line,
                symbol=chunk.symbol,
                score=float(total[document]),
                why=tuple(sorted(why, key=lambda reason: -abs(reason.contribution))),
            )
        )
    return locations


def build_task_context(index: Index, text: str, k: int = 20) -> TaskContext:
    """What the plan stage is given for a task with this text."""
    started = time.perf_counter()
    locations = rank(index, text, k)
    return TaskContext(
        source=index.source,
        commit=index.commit,
        index_version=index.version,
        models=index.models,
        locations=tuple(locations),
        seconds=time.perf_counter() - started,
    )
