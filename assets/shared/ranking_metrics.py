"""How good a ranking of files is for a query whose right files are known. Pure functions.

nDCG with binary relevance: Jarvelin and Kekalainen 2002, ACM TOIS 20:422.
"""

import math
from collections.abc import Collection, Sequence


def recall(ranked: Sequence[str], relevant: Collection[str], k: int) -> float:
    """The share of the relevant files among the first `k`."""
    return len(set(ranked[:k]) & set(relevant)) / len(set(relevant))


def ndcg(ranked: Sequence[str], relevant: Collection[str], k: int) -> float:
    """Discounted gain of the first `k`, as a share of the best possible."""
    wanted = set(relevant)
    gain = sum(1.0 / math.log2(place + 2) for place, path in enumerate(ranked[:k]) if path in wanted)
    return gain / sum(1.0 / math.log2(place + 2) for place in range(min(k, len(wanted))))


def reciprocal_rank(ranked: Sequence[str], relevant: Collection[str], k: int) -> float:
    """One over the place of the first relevant file among the first `k`, else 0."""
    wanted = set(relevant)
    return next((1.0 / (place + 1) for place, path in enumerate(ranked[:k]) if path in wanted), 0.0)


def overlap(one: Sequence[str], other: Sequence[str], k: int) -> float:
    """The share of the first `k` files that both rankings have; 1 when both are empty."""
    first, second = set(one[:k]), set(other[:k])
    return len(first & second) / max(len(first), len(second)) if first or second else 1.0
