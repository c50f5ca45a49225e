"""Metrics for a ranking of files when the relevant files are known. Pure functions.

nDCG with binary relevance: Jarvelin and Kekalainen 2002, ACM TOIS 20:422.
"""

import math
from collections.abc import Collection, Sequence


def recall(ranked: Sequence[str], relevant: Collection[str], k: int) -> float:
    """The share of the relevant files among the first `k`."""
    return len(set(ranked[:k]) & set(relevant)) / len(set(relevant))


def ndcg(ranked: Sequence[str], relevant: Collection[str], k: int) -> float:
    """Discounted cumulative gain of the first `k`, divided by that of an ideal ranking."""
    wanted = set(relevant)
    gain = sum(1.0 / math.log2(place + 2) for place, path in enumerate(ranked[:k]) if path in wanted)
    return gain / sum(1.0 / math.log2(place + 2) for place in range(min(k, len(wanted))))


def reciprocal_rank(ranked: Sequence[str], relevant: Collection[str], k: int) -> float:
    """One over the rank of the first relevant file among the first `k`; 0 if there is none."""
    wanted = set(relevant)
    return next((1.0 / (place + 1) for place, path in enumerate(ranked[:k]) if path in wanted), 0.0)


def overlap(one: Sequence[str], other: Sequence[str], k: int) -> float:
    """The share of the first `k` files that both rankings contain, relative to the longer one; 1 if both are empty."""
    first, second = set(one[:k]), set(other[:k])
    return len(first & second) / max(len(first), len(second)) if first or second else 1.0
