"""A bucket of whole tokens that fills up with time."""

import math


class Bucket:
    """Holds at most `burst` tokens and gains `rate` a second. It starts full at the time `now`, in seconds."""

    def __init__(self, rate, burst, now):
        self.rate = rate
        self.burst = burst
        self.tokens = burst
        self._at = now

    def take(self, now, count=1):
        """Takes tokens. Returns 0 if they were there, else after how many seconds they will be; then none is taken."""
        self._fill(now)
        if count <= self.tokens:
            self.tokens -= count
            return 0.0
        return (count - self.tokens) / self.rate - (now - self._at)

    def give_back(self, count=1):
        """For a call that was not made after all."""
        self.tokens = min(self.burst, self.tokens + count)

    def full(self, now):
        """Whether nobody could tell it from a new one."""
        self._fill(now)
        return self.tokens == self.burst

    def _fill(self, now):
        gained = math.floor((now - self._at) * self.rate + 1e-9)
        if gained <= 0:
            return
        self.tokens = min(self.burst, self.tokens + gained)
        # What is less than a token counts for the next one.
        self._at += gained / self.rate
