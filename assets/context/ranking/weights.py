"""What each signal counts in ranking, in units of the logarithm of odds.

Learned on the development set: the weights that make the changed files likeliest, in a softmax over the files
of a release, none of them negative. `python -m tests.bench.retrieval --fit` learns them anew and shows what they reach
on packages that were left out. What commit messages cannot teach is set by reason: a stack frame or a quoted
message must outweigh any agreement of words, and history is worth what it showed where the development set's own
earlier commits stood in for it.
"""

from collections.abc import Mapping

OWN = 0.6
"""The part of a signal's value that a chunk must have itself; the rest counts for every chunk of its file."""

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
