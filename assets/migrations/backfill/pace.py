"""The fixed share of the time in which a build embeds, so that searches and indexing get the rest.

After each call of the model the build rests for as long as the share demands. Calls are short, since a search waits for
a core at most as long as one call lasts. docs/models.md says what a share costs searches. Does not measure them.
"""

import time
from collections.abc import Callable

SHARE = 0.5
"""Default part of the time in which a build embeds."""

SLICE_SECONDS = 0.04
"""Target time of one call of the model, for shares below 1: a much longer one would overlap each search."""

PART_SECONDS = 10.0
"""The longest time between two writes, except for a single content: bounds lost work and keeps progress visible."""

FIRST_TEXTS = 8
"""Texts in the first call, before the model's speed is known."""

CHECK_SECONDS = 1.0
"""The longest sleep between two checks for a stop."""


class Pace:
    """Sizes of calls and parts, and rests, for one build in one thread. Raises `ValueError` for a share that is not
    above 0 and at most 1."""

    def __init__(self, share: float = SHARE, *, sleep: Callable[[float], None] = time.sleep) -> None:
        if not 0 < share <= 1:
            raise ValueError(f"the share must be above 0 and at most 1: {share}")
        self.share = share
        self._sleep = sleep
        self._rate = 0.0
        self._owed = 0.0

    def part(self, most: int) -> int:
        """How many texts, at most `most`, to embed before they are written: about `PART_SECONDS`, rests included."""
        return self._fitting(most, self.share * PART_SECONDS)

    def slice(self, texts: int) -> int:
        """How many of the `texts` of a part to embed in one call. With a share of 1 as many as a part may have, since a
        server may answer many texts as fast as few."""
        return self._fitting(texts, SLICE_SECONDS if self.share < 1 else PART_SECONDS)

    def _fitting(self, most: int, seconds: float) -> int:
        return max(1, min(most, int(self._rate * seconds) if self._rate else FIRST_TEXTS))

    def rest(self, check: Callable[[], None] = lambda: None) -> None:
        """Call before each call of the model: sleeps as long as the previous one demands. Calls `check`, which may
        raise, at least once and at least every `CHECK_SECONDS`."""
        check()
        while self._owed > 0:
            seconds = min(CHECK_SECONDS, self._owed)
            self._sleep(seconds)
            self._owed -= seconds
            check()

    def embedded(self, texts: int, seconds: float) -> None:
        """Call after the model embedded `texts` in `seconds`."""
        self._owed = seconds * (1 / self.share - 1)
        if texts and seconds > 0:
            rate = texts / seconds
            self._rate = 0.7 * self._rate + 0.3 * rate if self._rate else rate
