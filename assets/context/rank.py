"""Ranks the chunks of an index for a text: a weighted sum of signals, each with its reason.

A sum of scaled scores rather than of reciprocal ranks: BM25's margins say how sure it is, and a stack
frame must be able to outweigh any number of weak agreements. Vectors enter by rank, since their
distances have no common scale. What speaks for one chunk of a file speaks, a little less, for the
others too: a request is about a file before it is about a line. Weights are learned on the development
set (see `assets.context.weights`).
"""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from assets.context.index import Floats, Index, Manifest
from assets.context.query import Query, read_query
from assets.context.signals import ALL, FOLLOWERS, Found, Scores
from assets.context.weights import OWN, WEIGHTS
from core.work import Location, Reason, TaskContext

CANDIDATES = 100
"""Signals that read what was found so far read this many chunks."""


@dataclass(frozen=True)
class Ranking:
    """Every document's score, and the share that each signal has in it (both of shape (documents,))."""

    total: Floats
    parts: Mapping[str, Floats]
    scores: Mapping[str, Scores]


def score(index: Index, query: Query, *, off: Collection[str] = (), weights: Mapping[str, float] = WEIGHTS) -> Ranking:
    """Weighs all documents. Signals without a weight, and those named in `off`, are not asked."""
    manifest = index.manifest
    scores = {name: signal(query, index) for name, signal in ALL.items() if name not in off and weights.get(name)}
    parts = {name: weights[name] * _blend(manifest, found.values) for name, found in scores.items()}
    followers = {name: signal for name, signal in FOLLOWERS.items() if name not in off and weights.get(name)}
    if followers:
        found = _found(index, _sum(manifest, parts))
        for name, follower in followers.items():
            scores[name] = follower(query, index, found)
            parts[name] = weights[name] * _blend(manifest, scores[name].values)
    return Ranking(np.round(_sum(manifest, parts), 6), parts, scores)


def _blend(manifest: Manifest, values: Floats) -> Floats:
    """Each document's own value, and for the rest the best of its file."""
    files = np.flatnonzero(np.diff(manifest.offsets))
    best = np.zeros(len(manifest.paths))
    if values.min(initial=0.0) < 0:
        return values  # what lowers a file is the same for all of it
    best[files] = np.maximum.reduceat(values, manifest.offsets[files])
    return OWN * values + (1 - OWN) * best[manifest.file_of]


def _sum(manifest: Manifest, parts: Mapping[str, Floats]) -> Floats:
    total = np.zeros(manifest.documents)
    for part in parts.values():
        total += part
    return total


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
    best = _best(ranking.total, k).tolist()
    locations = []
    for document, chunk in zip(best, index.chunks(best), strict=True):
        why = tuple(
            Reason(signal=name, detail=_detail(ranking.scores[name], document), contribution=round(value, 4))
            for name, part in ranking.parts.items()
            if (value := float(part[document]))
        )
        locations.append(
            Location(
                path=manifest.paths[int(manifest.file_of[document])],
                start_line=chunk.start_line,
                end_line=chunk.end_line,
                symbol=chunk.symbol,
                score=float(ranking.total[document]),
                why=tuple(sorted(why, key=lambda reason: -abs(reason.contribution))),
            )
        )
    return locations


def _detail(scores: Scores, document: int) -> str:
    return scores.detail(document) if scores.values[document] else "elsewhere in the file"


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
