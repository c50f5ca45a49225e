"""Recently changed files, which are slightly more likely to change next."""

import numpy as np

from assets.context.ranking.index import Index
from assets.context.ranking.query import Query
from assets.context.ranking.signals.scores import Scores, nothing

_HALF_LIFE = 20.0
"""In commits."""


def score(query: Query, index: Index) -> Scores:
    manifest, changed = index.manifest, index.history.by_path
    if not changed:
        return nothing()
    ages = {manifest.number[path]: commits[0] for path, commits in changed.items() if path in manifest.number}
    by_file = np.zeros(len(manifest.paths))
    by_file[list(ages)] = 0.5 ** (np.array(list(ages.values()), dtype=np.float64) / _HALF_LIFE)
    return Scores(
        by_file, lambda document: f"changed {ages[int(manifest.file_of[document])]} commits ago", of_files=True
    )
