"""Chunks whose vectors are close to the text's, by rank: distances of different models don't compare."""

import logging

import numpy as np

from assets.context.index import Floats, Index, Ints
from assets.context.query import Query
from assets.context.signals.scores import Scores, nothing
from core.embedding import EmbedderUnavailable

_log = logging.getLogger(__name__)

NEAREST = 200
_HALF = 10
"""At this rank the contribution is half that of the best."""


def score(query: Query, index: Index) -> Scores:
    """Each model says 1 of its nearest and less of those after; the mean of the models counts."""
    values = np.zeros(index.manifest.documents)
    cosines: dict[int, list[float]] = {}
    answers = [found for model in index.models if (found := _answer(index, model, query.text[:4000])) is not None]
    for documents, similarity in answers:
        values[documents] += 1.0 / (1.0 + np.arange(len(documents)) / _HALF) / len(answers)
        for document, cosine in zip(documents.tolist(), similarity.tolist(), strict=True):
            cosines.setdefault(document, []).append(cosine)
    if not cosines:
        return nothing(index)
    return Scores(values, lambda document: "cosine " + ", ".join(f"{one:.2f}" for one in cosines.get(document, [])))


def _answer(index: Index, model: str, text: str) -> tuple[Ints, Floats] | None:
    """None when the model's server does not answer: the other signals answer without it."""
    try:
        return index.nearest(model, text, NEAREST)
    except EmbedderUnavailable as error:
        _log.warning("searched %s without the model %s: %s", index.source, model, error)
        return None
