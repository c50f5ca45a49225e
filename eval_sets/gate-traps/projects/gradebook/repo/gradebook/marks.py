"""Points and marks from 1 (best) to 6."""

LIMITS = ((92, 1), (81, 2), (67, 3), (50, 4), (30, 5))


def mark(points, most=100):
    """The mark for points out of `most`. Raises ValueError if there are more points than possible, or fewer than 0."""
    if not 0 <= points <= most:
        raise ValueError(f"{points} of {most} points")
    percent = points * 100 / most
    for limit, found in LIMITS:
        if percent >= limit:
            return found
    return 6


def average(marks):
    """The mean to one decimal, which is cut and not rounded, as the regulations say; None without marks."""
    if not marks:
        return None
    return sum(marks) * 10 // len(marks) / 10


def weighted(pairs):
    """The mean of (mark, weight) pairs; marks with weight 0 do not count.

    >>> weighted([(1, 1), (4, 2)])
    3.0
    >>> weighted([(2, 0), (5, 1)])
    5.0
    """
    total = sum(weight for _, weight in pairs)
    if total == 0:
        return None
    return sum(value * weight for value, weight in pairs) / total
