"""Personalised PageRank (Haveliwala, 2002) on the definition-reference graph around the chunks found so far.

Two chunks are connected if one uses a name that the other defines, and few others define it. Code that the best
chunks use, or that uses them, is ranked higher. The graph only contains the neighbours of the best chunks, so that
its cost does not grow with the repository.
"""

import re
from typing import NamedTuple

import numpy as np

from assets.context.ranking.index import Index
from assets.context.ranking.query import Query
from assets.context.ranking.signals.scores import Found, Scores, nothing, some

_SEEDS = 12
_MOST_NAMES = 200
_MOST_DEFINITIONS = 5
_MOST_USERS = 25
_RESTART = 0.3
_ROUNDS = 8
_NAME = re.compile(r"[A-Za-z_]\w{3,}")  # also in comments and docstrings, since they describe the code


class _Edge(NamedTuple):
    """One chunk uses a name that the other defines."""

    user: int
    definer: int
    weight: float
    name: str


def score(query: Query, index: Index, found: Found) -> Scores:
    seeds = found.documents[:_SEEDS].tolist()
    edges = [*_uses(index, found, seeds), *_users(index, found, seeds)]
    if not edges:
        return nothing()
    nodes = np.unique(np.array([*seeds, *(node for edge in edges for node in edge[:2])], dtype=np.int64))
    place = {int(node): number for number, node in enumerate(nodes)}
    weights = np.zeros((len(nodes), len(nodes)))
    for one, other, weight, _ in edges:
        weights[place[other], place[one]] += weight
        weights[place[one], place[other]] += weight
    weights /= np.maximum(weights.sum(axis=0), 1e-9)
    start = np.zeros(len(nodes))
    start[[place[seed] for seed in seeds]] = found.strength[: len(seeds)] ** 2
    start /= start.sum()
    mass = arrived = start
    for _ in range(_ROUNDS):
        arrived = (1 - _RESTART) * (weights @ mass)
        mass = _RESTART * start + arrived
    values = arrived / max(float(arrived.max()), 1e-9)  # mass received from others, without the restart mass
    said = {document: value for document, value in zip(nodes.tolist(), values.tolist(), strict=True) if value}
    return some(said, lambda document: _reason(edges, document))


def _reason(edges: list[_Edge], document: int) -> str:
    """The reason by the heaviest edge; definitions take precedence over uses."""
    own = [edge for edge in edges if document in (edge.user, edge.definer)]
    if not own:
        return "defines or uses what was found"
    edge = max(own, key=lambda edge: (edge.definer == document, edge.weight))
    return f"defines {edge.name}, used nearby" if edge.definer == document else f"uses {edge.name}"


def _uses(index: Index, found: Found, seeds: list[int]) -> list[_Edge]:
    """Edges from each seed to the definitions of names in its text."""
    names: dict[str, list[int]] = {}
    for seed, chunk in zip(seeds, found.chunks, strict=False):
        own = chunk.name
        for name in dict.fromkeys(_NAME.findall(chunk.text)):
            if (len(names) < _MOST_NAMES or name in names) and name != own and not name.startswith("__"):
                names.setdefault(name, []).append(seed)
    edges = []
    for term, (documents, _) in index.postings([f"=:{name}" for name in names]).items():
        if len(documents) <= _MOST_DEFINITIONS:
            for document in documents.tolist():
                edges += [_Edge(s, document, 1.0 / len(documents), term[2:]) for s in names[term[2:]] if s != document]
    return edges


def _users(index: Index, found: Found, seeds: list[int]) -> list[_Edge]:
    """Edges from the chunks that use a name defined by a seed to that seed."""
    own = {
        chunk.name.strip("_").lower(): seed
        for seed, chunk in zip(reversed(seeds), reversed(found.chunks[: len(seeds)]), strict=True)
        if len(chunk.name) > 3 and not chunk.name.startswith("__")
    }
    edges = []
    for term, (documents, _) in index.postings(list(own)).items():
        if len(documents) <= _MOST_USERS:
            edges += [_Edge(d, own[term], 1.0 / len(documents), term) for d in documents.tolist() if d != own[term]]
    return edges
