"""When a client polls, pushes and tries again. Pure functions of time and of a random number between 0 and 1."""

import math
from dataclasses import dataclass

RETRIES = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Longest waits between tries, in seconds; the last one is repeated for ever."""
BUSY_SECONDS, SPAN = 5.0, 12.0
"""A client that is busy polls every 5 s, an idle one 12 times less often."""
HALF_LIFE = 30.0
"""Seconds in which activity decays to its half."""
WINDOW_SECONDS = 0.1
"""What is written within this time goes in one push."""
BATCH, BATCH_BYTES = 50, 256 << 10
AUTOSAVE_SECONDS = 1.0
OFFLINE_SECONDS = 30.0


def retry_after(failures: int, random: float) -> float:
    """Seconds until the next try after `failures` in a row, with full jitter.

    Source: M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog (2015)."""
    longest = RETRIES[min(failures, len(RETRIES)) - 1] if failures else 0.0
    return longest * random


def poll_interval(activity: float, random: float, server: float | None = None) -> float:
    """Seconds until the next poll for an activity from 0 to 1, with 20% of jitter. What the server asks for is a lower
    bound."""
    wanted: float = BUSY_SECONDS * SPAN ** (1.0 - min(1.0, max(0.0, activity)))
    return max(server or 0.0, wanted * (0.8 + 0.4 * random))


@dataclass
class Activity:
    """How busy a client is: own and others' edits, what waits to be sent, a running turn. It decays."""

    level: float = 0.0
    at: float = 0.0

    def note(self, now: float, amount: float = 0.5) -> None:
        self.level = min(1.0, self.now(now) + amount)
        self.at = now

    def now(self, now: float, queued: int = 0, turn: bool = False) -> float:
        decayed: float = self.level * 0.5 ** (max(0.0, now - self.at) / HALF_LIFE)
        return min(1.0, decayed + (0.5 if turn else 0.0) + min(0.5, queued / 20))


class Throttle:
    """Lets through at once, then at most once in `seconds`, and the last one of what came meanwhile. It does not wait
    for a pause, so a text that grows all the time is saved all the time."""

    def __init__(self, seconds: float = AUTOSAVE_SECONDS) -> None:
        self.seconds = seconds
        self._last = -math.inf

    def wait(self, now: float) -> float:
        """Seconds until the next may go; 0 means now, and counts it."""
        left = self._last + self.seconds - now
        if left <= 0 or left > self.seconds:  # or the clock was set back
            self._last = now
            return 0.0
        return left
