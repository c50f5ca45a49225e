"""The signals of ranking: small modules of the same shape, each of which can be switched off.

A signal is a function `(Query, Index) -> Scores`; a follower also takes `Found`, the results of the signals.
`ALL` and `FOLLOWERS` list them in the order of their calls, the slowest last.
"""

from collections.abc import Callable

from assets.context.ranking.index import Index
from assets.context.ranking.query import Query
from assets.context.ranking.signals import (
    bm25,
    commits,
    definitions,
    frames,
    messages,
    names,
    paths,
    phrases,
    recency,
    references,
    roles,
    size,
    together,
    vectors,
)
from assets.context.ranking.signals.scores import Follower, Found, Scores, Signal

__all__ = ["ALL", "EXPECTED", "FOLLOWERS", "Follower", "Found", "Scores", "Signal"]

ALL: dict[str, Signal] = {
    "frames": frames.score,
    "paths": paths.score,
    "definitions": definitions.score,
    "messages": messages.score,
    "text": bm25.score_chunks,
    "file": bm25.score_files,
    "title": bm25.score_title,
    "names": names.score,
    "commits": commits.score,
    "recent": recency.score,
    "size": size.score,
    "role": roles.score,
    "vectors": vectors.score,
}

EXPECTED: dict[str, Callable[[Query, Index], None]] = {"vectors": vectors.expect}
"""Functions that start the search of a slow signal, so that it runs while the other signals are computed."""

FOLLOWERS: dict[str, Follower] = {
    "phrases": phrases.score,
    "references": references.score,
    "together": together.score,
}
