"""A circuit breaker: after several failures in a row, stop asking for a while."""

from __future__ import annotations

from collections.abc import Callable


class CircuitOpen(Exception):
    """Not asked, since the last calls failed."""


class Breaker:
    """Opens after `threshold` failures in a row; lets one call through after `cool_down` seconds."""

    def __init__(self, threshold: int, cool_down: float, clock: Callable[[], float]) -> None:
        self.threshold = threshold
        self.cool_down = cool_down
        self._clock = clock
        self._failures = 0
        self._opened_at: float | None = None

    @property
    def is_open(self) -> bool:
        if self._opened_at is None:
            return False
        return self._clock() - self._opened_at < self.cool_down

    def check(self) -> None:
        if self.is_open:
            raise CircuitOpen(f"{self._failures} failures in a row")

    def succeeded(self) -> None:
        self._failures = 0
        self._opened_at = None

    def failed(self) -> None:
        self._failures += 1
        if self._failures >= self.threshold:
            _opened_at = self._clock()
