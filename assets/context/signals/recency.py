"""Files that were changed lately are a little more likely to change next."""

import numpy as np

from assets.context.index import Index
from assets.context.query import Query
from assets.context.signals.scores import Scores

_HALF_LIFE = 20.0
"""In commits."""


def score(query: Query, index: Index) -> Scores:
    manifest = index.manifest
    ages = np.array([float(manifest.recent.get(path, -1)) for path in manifest.paths])
    by_file = np.where(ages >= 0, 0.5 ** (np.maximum(ages, 0) / _HALF_LIFE), 0.0)
    values = by_file[manifest.file_of] if len(by_file) else by_file

    def detail(document: int) -> str:
        return f"changed {manifest.recent.get(manifest.paths[manifest.file_of[document]], 0)} commits ago"

    return Scores(values, detail)
