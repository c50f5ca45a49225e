"""The signals of ranking: small modules of one shape, each of which can be switched off.

A signal is a function `(Query, Index) -> Scores`. `ALL` names them in the order in which reasons are
listed.
"""

from assets.context.signals import bm25, definitions, frames, messages, names, paths, recency, roles, vectors
from assets.context.signals.scores import Scores, Signal

__all__ = ["ALL", "Scores", "Signal"]

ALL: dict[str, Signal] = {
    "frames": frames.score,
    "paths": paths.score,
    "definitions": definitions.score,
    "messages": messages.score,
    "text": bm25.score_chunks,
    "file": bm25.score_files,
    "names": names.score,
    "vectors": vectors.score,
    "recent": recency.score,
    "role": roles.score,
}
