"""What a signal returns: a value for each document, and words for the reason.

Values are 0 where the signal says nothing and at most 1 (a signal that lowers: at least -1), so that
weights compare.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from assets.context.index import Floats, Index
from assets.context.query import Query


@dataclass(frozen=True, slots=True)
class Scores:
    values: Floats
    detail: Callable[[int], str]
    """The reason for one document, made only for those that are returned."""


Signal = Callable[[Query, Index], Scores]


def nothing(index: Index) -> Scores:
    return Scores(np.zeros(index.manifest.documents), lambda document: "")


def to_unit(values: Floats) -> Floats:
    """Scaled so that the highest is 1. The distances between scores stay, which ranks would lose."""
    top = float(values.max()) if len(values) else 0.0
    return values / top if top > 0 else values
