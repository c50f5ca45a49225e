"""Rate limits: a token bucket for each key, in this process and in bounded memory.

Each process of the gateway has its own, so several processes allow as many times the rate. Nothing that was accepted is
affected: a limit refuses a request before anything is stored.
"""

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

from gateway.problems import Refused

MOST_KEYS = 10_000
"""Buckets kept. The one that was used longest ago is dropped; it would most likely be full again."""


class RateLimit:
    """Allows `burst` at once and `rate` a second for long, for each key; any number with a rate of 0. Safe for several
    threads."""

    def __init__(
        self, rate: float, burst: int, *, most_keys: int = MOST_KEYS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._most_keys = most_keys
        self._clock = clock
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def __contains__(self, key: Hashable) -> bool:
        """Whether the key has a bucket."""
        with self._lock:
            return key in self._buckets

    def take(self, key: Hashable) -> float:
        """Takes one of what is left. Returns 0, or if nothing is left the seconds until there is."""
        if self._rate == 0:
            return 0.0
        with self._lock:
            now = self._clock()
            left, at = self._buckets.pop(key, (self._burst, now))
            left = min(self._burst, left + (now - at) * self._rate)
            wait = 0.0 if left >= 1 else (1 - left) / self._rate
            self._buckets[key] = (left - 1 if wait == 0 else left, now)
            while len(self._buckets) > self._most_keys:
                self._buckets.popitem(last=False)
            return wait

    def require(self, key: Hashable, whose: str) -> None:
        """`take`, or raises `Refused` (429)."""
        if (wait := self.take(key)) > 0:
            seconds = max(1, math.ceil(wait))
            raise Refused(
                429,
                "rate-limit",
                f"{whose} has used up its limit of {self._rate:g} requests a second; nothing was stored: "
                f"send it again in {seconds} s",
                headers={"Retry-After": str(seconds)},
            )
