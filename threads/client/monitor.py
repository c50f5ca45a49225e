"""What a client measures of its own syncing, and the batch size that follows from it."""

from collections import deque
from dataclasses import dataclass

SAMPLES = 500
FIXED_SHARE = 0.1
"""Share of a push's time that its fixed cost may take."""
MOST = 50


@dataclass(frozen=True)
class Report:
    """Times in seconds. `conflict_rate`: share of answered mutations. `best_batch`: mutations in a push."""

    pushes: int
    p50: float
    p95: float
    conflict_rate: float
    queue_age: float
    best_batch: int


class Monitor:
    def __init__(self) -> None:
        self._pushes: deque[tuple[int, float]] = deque(maxlen=SAMPLES)
        self._answers: deque[bool] = deque(maxlen=SAMPLES * 10)

    def pushed(self, mutations: int, seconds: float) -> None:
        self._pushes.append((mutations, seconds))

    def answered(self, conflict: bool) -> None:
        self._answers.append(conflict)

    def report(self, queue_age: float = 0.0) -> Report:
        times = sorted(seconds for _, seconds in self._pushes)
        conflicts = sum(self._answers) / len(self._answers) if self._answers else 0.0
        return Report(
            len(times), _quantile(times, 0.5), _quantile(times, 0.95), conflicts, queue_age, self.best_batch()
        )

    def best_batch(self) -> int:
        """The smallest batch whose fixed cost is at most 10% of its time, by the line `t = a + b·n` that fits the
        pushes best (least squares): `a / (a + b·n) <= 0.1`. `MOST` while nothing is known."""
        count = len(self._pushes)
        sizes = [size for size, _ in self._pushes]
        if len(set(sizes)) < 2:
            return MOST
        mean_n, mean_t = sum(sizes) / count, sum(seconds for _, seconds in self._pushes) / count
        spread = sum((size - mean_n) ** 2 for size in sizes)
        slope = sum((size - mean_n) * (seconds - mean_t) for size, seconds in self._pushes) / spread
        fixed = mean_t - slope * mean_n
        if slope <= 0:
            return MOST
        wanted = max(0.0, fixed) * (1 - FIXED_SHARE) / (FIXED_SHARE * slope)
        return max(1, min(MOST, int(wanted) + (wanted > int(wanted))))


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
