"""The weight of each signal in ranking, in units of log-odds.

Learned on the development set: the non-negative weights that maximise the likelihood of the changed files, by a
softmax over the files of a release. `python -m tests.bench.retrieval --fit` learns them again and measures them on
held-out packages. Weights that commit messages cannot teach are set by hand: a stack frame or a quoted message must
outweigh any match of words, and the weight of history was measured with the development set's own earlier commits
as history.
"""

from collections.abc import Mapping

OWN = 0.6
"""The part of a signal's value that counts for the matching chunk only; the rest counts for all chunks of its file."""

WEIGHTS: Mapping[str, float] = {
    "frames": 8.0,
    "paths": 3.0,
    "definitions": 2.4,
    "messages": 4.0,
    "text": 1.4,
    "file": 0.5,
    "title": 2.6,
    "names": 1.3,
    "vectors": 1.0,
    "commits": 1.5,
    "recent": 0.3,
    "size": 2.7,
    "role": 5.0,
    "phrases": 1.7,
    "references": 0.6,
    "together": 1.0,
}
