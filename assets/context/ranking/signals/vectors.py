"""Chunks whose vectors are close to the text's, scored by rank, since distances of different models don't compare."""

import logging
from collections import defaultdict

from assets.context.ranking.index import Floats, Index, Ints
from assets.context.ranking.query import Query
from assets.context.ranking.signals.scores import Scores, nothing, some
from core.embedding import EmbedderUnavailable

_log = logging.getLogger(__name__)

NEAREST = 100
_LONGEST = 4000
_HALF = 10
"""At this rank the value is half that of the nearest chunk."""


def expect(query: Query, index: Index) -> None:
    """Starts the searches that `score` reads."""
    for model in index.models:
        index.expect(model, _asked(query), NEAREST)


def score(query: Query, index: Index) -> Scores:
    """The mean over the models of 1 for the nearest chunk and less for the following ones."""
    values: dict[int, float] = defaultdict(float)
    cosines: dict[int, list[float]] = {}
    answers = [found for model in index.models if (found := _answer(index, model, _asked(query))) is not None]
    for documents, similarity in answers:
        for place, (document, cosine) in enumerate(zip(documents.tolist(), similarity.tolist(), strict=True)):
            values[document] += 1.0 / (1.0 + place / _HALF) / len(answers)
            cosines.setdefault(document, []).append(cosine)
    if not cosines:
        return nothing()
    return some(values, lambda document: "cosine " + ", ".join(f"{one:.2f}" for one in cosines.get(document, [])))


def _asked(query: Query) -> str:
    return query.text[:_LONGEST]


def _answer(index: Index, model: str, text: str) -> tuple[Ints, Floats] | None:
    """None if the model is unavailable; the other signals still count."""
    try:
        return index.nearest(model, text, NEAREST)
    except EmbedderUnavailable as error:
        _log.warning("searched %s without the model %s: %s", index.source, model, error)
        return None
