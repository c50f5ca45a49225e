"""Ranks the chunks of an index for a text: a weighted sum of signals, each with its reason.

A sum of scaled scores rather than of reciprocal ranks: BM25's margins say how sure it is, and a stack
frame must be able to outweigh any number of weak agreements. Vectors enter by rank, since their
distances have no common scale. Weights were set on development packages only.
"""

import time
from collections.abc import Collection, Mapping

import numpy as np

from assets.context.index import Index
from assets.context.query import read_query
from assets.context.signals import ALL
from core.work import Location, Reason, TaskContext

WEIGHTS: Mapping[str, float] = {
    "frames": 2.0,
    "paths": 1.0,
    "definitions": 1.0,
    "messages": 1.0,
    "text": 1.0,
    "file": 1.0,
    "names": 0.5,
    "vectors": 0.4,
    "recent": 0.05,
    "role": 1.0,
}


SHARES = frozenset({"role"})
"""Signals that take a share of what the others add up to, instead of adding."""


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
    query = read_query(text)
    scores = {name: signal(query, index) for name, signal in ALL.items() if name not in off and weights.get(name)}
    total = np.zeros(manifest.documents)
    parts = {name: weights[name] * score.values for name, score in scores.items()}
    for name, part in parts.items():
        if name not in SHARES:
            total += part
    for name in SHARES & parts.keys():
        parts[name] = parts[name] * total
        total = total + parts[name]
    total = np.round(total, 6)
    best = [int(document) for document in np.argsort(-total, kind="stable")[:k]]
    locations = []
    for document, chunk in zip(best, index.chunks(best), strict=True):
        why = tuple(
            Reason(signal=name, detail=scores[name].detail(document), contribution=round(value, 4))
            for name, part in parts.items()
            if (value := float(part[document]))
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
