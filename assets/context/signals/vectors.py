"""Chunks whose vectors are close to the text's, by rank: distances of different models don't compare."""

import numpy as np

from assets.context.index import Index
from assets.context.query import Query
from assets.context.signals.scores import Scores, nothing

NEAREST = 200
_HALF = 10
"""At this rank the contribution is half that of the best."""


def score(query: Query, index: Index) -> Scores:
    documents, similarity = index.nearest(query.text[:4000], NEAREST)
    if not len(documents):
        return nothing(index)
    values = np.zeros(index.manifest.documents)
    values[documents] = 1.0 / (1.0 + np.arange(len(documents)) / _HALF)
    cosine = dict(zip(documents.tolist(), similarity.tolist(), strict=True))
    return Scores(values, lambda document: f"cosine {cosine.get(document, 0.0):.2f}")
