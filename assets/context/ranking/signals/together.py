"""Files that changed in the same commits as the files found so far."""

import numpy as np

from assets.context.ranking.index import Index
from assets.context.ranking.query import Query
from assets.context.ranking.signals.scores import Found, Scores, nothing

_SEEDS = 5
_LEAST = 2
"""Files with fewer common commits don't count."""


def score(query: Query, index: Index, found: Found) -> Scores:
    """The share of a found file's commits that also changed the other file, times the found file's strength; the
    highest over the found files."""
    manifest, past = index.manifest, index.history
    if not len(past):
        return nothing()
    by_file = np.zeros(len(manifest.paths))
    reasons: dict[int, str] = {}
    for seed, strength in found.files(index, _SEEDS):
        commits = past.by_path.get(manifest.paths[seed], [])[:200]
        shared: dict[str, int] = {}
        for number in commits:
            for path in past.commits[number].paths:
                shared[path] = shared.get(path, 0) + 1
        for path, count in shared.items():
            file = manifest.number.get(path)
            if file is None or file == seed or count < _LEAST:
                continue
            value = strength * count / (len(commits) + 2)
            if value > by_file[file]:
                by_file[file] = value
                reasons[file] = f"changed {count} times together with {manifest.paths[seed]}"
    return Scores(by_file, lambda document: reasons.get(int(manifest.file_of[document]), ""), of_files=True)
