"""A circuit breaker, so that a dead service costs its callers no time."""

import threading
import time
from collections.abc import Callable


class Breaker:
    """Opens after `failures` failures in a row. After `pause` seconds it lets one caller try, and closes if that
    succeeds."""

    def __init__(self, failures: int = 5, pause: float = 15.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = failures
        self._pause = pause
        self._clock = clock
        self._failures = 0
        self._until = 0.0
        self._lock = threading.Lock()

    def wait(self) -> float:
        """Seconds until the next attempt is allowed; 0 means that this caller may try now."""
        with self._lock:
            if self._failures < self._limit:
                return 0.0
            left = self._until - self._clock()
            if left <= 0:
                self._until = self._clock() + self._pause  # other callers wait for this one's result
            return max(0.0, left)

    def succeeded(self) -> None:
        with self._lock:
            self._failures = 0

    def failed(self) -> None:
        with self._lock:
            self._failures += 1
            self._until = self._clock() + self._pause
