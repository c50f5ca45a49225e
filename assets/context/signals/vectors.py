"""Chunks whose vectors are close to the text's, by rank: distances of different models don't compare."""

import numpy as np

from assets.context.index import Index
from assets.context.query import Query
from assets.context.signals.scores import Scores, nothing

NEAREST = 200
_HALF = 10
"""At this rank the contribution is half that of the best."""


def score(query: Query, index: Index) -> Scores:
    """Each model says 1 of its nearest and less of those after; the mean of the models counts."""
    values = np.zeros(index.manifest.documents)
    cosines: dict[int, list[float]] = {}
    for model in index.models:
        documents, similarity = index.nearest(model, query.text[:4000], NEAREST)
        values[documents] += 1.0 / (1.0 + np.arange(len(documents)) / _HALF) / len(index.models)
        for document, cosine in zip(documents.tolist(), similarity.tolist(), strict=True):
            cosines.setdefault(document, []).append(cosine)
    if not cosines:
        return nothing(index)
    return Scores(values, lambda document: "cosine " + ", ".join(f"{one:.2f}" for one in cosines.get(document, [])))
