"""The logarithm of a file's number of terms, as a prior: larger files contain more places that a request may mean."""

import numpy as np

from assets.context.ranking.index import Index
from assets.context.ranking.query import Query
from assets.context.ranking.signals.scores import Scores, to_unit


def score(query: Query, index: Index) -> Scores:
    manifest = index.manifest
    values = manifest.once("sizes", lambda: to_unit(np.log1p(manifest.file_lengths.astype(np.float64))))
    return Scores(
        values,
        lambda document: f"a file of {int(manifest.file_lengths[manifest.file_of[document]])} terms",
        of_files=True,
    )
