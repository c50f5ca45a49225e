"""How much of the time a build may embed, so that searches and indexing beside it keep their latency.

The share follows what live work notices: it falls by a big step when a measure lies above what is allowed
and rises by a small one when it does not. The steps are in the proportion at which the share comes to rest
where just the allowed part of all measures is too slow (stochastic approximation of a quantile: Robbins and
Monro 1951, Ann. Math. Stat. 22:400). Knows nothing of databases; `watch.py` does the measuring.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from assets.migrations.metrics import percentile

STEP = 0.25
"""What one slow and one fast measure move the share by, together."""

TOO_SLOW = 0.04
"""The part of the measures that may lie above the limit: a little less than the 5% of a 95th percentile."""

MOST_DEBT = 1.0
"""So far below 0 the level may fall whose positive part is the share: what was too slow is made up for by as many
fast measures, also where the share cannot fall any more."""

SLICE_SECONDS = 0.04
"""While it gives way, it embeds for about so long at a time: much longer, and each search would meet a whole one."""

PART_SECONDS = 10.0
"""So long at most, or a single content, between two writes: what was embedded is not lost, and progress is seen."""

SETTLE_SECONDS = 0.25
"""After so long without embedding, what is measured counts as undisturbed."""

LONGEST_REST = 5.0
FEWEST_CALM = 5
_KEPT = 200


@dataclass(frozen=True, slots=True)
class Limits:
    """The share stays between `floor` and `ceiling`. `slowdown` is how many times its undisturbed value the 95th
    percentile of a measure may be; None: nothing is watched, and the share is `ceiling`."""

    ceiling: float = 1.0
    floor: float = 0.02
    slowdown: float | None = 1.3

    def __post_init__(self) -> None:
        if not 0 < self.ceiling <= 1 or not 0 < self.floor <= 1:
            raise ValueError(f"a share lies above 0 and is at most 1: {self}")
        if self.slowdown is not None and self.slowdown <= 1:
            raise ValueError(f"slowdown {self.slowdown} leaves no room: it must be above 1")


@dataclass(frozen=True, slots=True)
class Mark:
    """What had been embedded when a measurement began."""

    turns: int
    calm: bool


@dataclass
class _Kind:
    slack: float
    calm: deque[float]
    lately: deque[float]


class Throttle:
    """Shared by the thread that embeds and those that measure. Times are seconds."""

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.limits = limits or Limits()
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._floor = min(self.limits.floor, self.limits.ceiling)
        # What searches notice is not known yet: begin low, the first measures raise it.
        start = self.limits.ceiling if self.limits.slowdown is None else max(self._floor, self.limits.ceiling / 4)
        self._level = start
        self._kinds: dict[str, _Kind] = {}
        self._turns = 0
        self._embedding = False
        self._ended = float("-inf")
        self._slowed = 0
        self._rate = 0.0

    @property
    def watches(self) -> bool:
        return self.limits.slowdown is not None

    @property
    def share(self) -> float:
        return max(self._floor, self._level)

    def release(self) -> None:
        """Nothing can be measured here, so nothing is known to be in the way: on to the ceiling."""
        with self._lock:
            self._level = self.limits.ceiling

    def slice(self, texts: int) -> int:
        """How many of `texts` to embed before the next rest."""
        with self._lock:
            if self.share >= 1.0:
                return texts
            return max(1, min(texts, int(self._rate * SLICE_SECONDS) if self._rate else 8))

    def part(self, most: int) -> int:
        """How many texts, of `most`, to embed before they are written: what takes about `PART_SECONDS` with rests."""
        with self._lock:
            if self.share >= 1.0 or not self._rate:
                return most
            return max(1, min(most, int(self._rate * self.share * PART_SECONDS)))

    def begin(self) -> None:
        """Embedding begins."""
        with self._lock:
            self._turns += 1
            self._embedding = True

    def end(self, texts: int, seconds: float, check: Callable[[], None] = lambda: None) -> None:
        """`texts` took `seconds`; rests as long as the share asks for. `check` is called before and may raise."""
        with self._lock:
            self._embedding = False
            self._ended = self._clock()
            if seconds > 0 and texts:
                rate = texts / seconds
                self._rate = rate if not self._rate else 0.7 * self._rate + 0.3 * rate
            rest = min(LONGEST_REST, seconds * (1.0 / self.share - 1.0))
        check()
        if rest > 0:
            self._sleep(rest)

    def mark(self) -> Mark:
        """To be taken when a measurement begins, and handed to `saw` with its result."""
        with self._lock:
            return Mark(self._turns, self._is_calm())

    def _is_calm(self) -> bool:
        return not self._embedding and self._clock() - self._ended >= SETTLE_SECONDS

    def saw(self, kind: str, seconds: float, mark: Mark | None = None, *, slack: float = 0.002) -> bool:
        """Takes a measure of live work in; true when it was slower than is allowed.

        One that nothing was embedded beside, by its mark, also says what is undisturbed. `slack` is what any
        measure of its kind may be above the undisturbed, whatever the factor: a scheduler's tick is no harm.
        """
        with self._lock:
            known = self._kinds.setdefault(kind, _Kind(slack, deque(maxlen=_KEPT), deque(maxlen=_KEPT)))
            if mark is not None and mark.calm and mark.turns == self._turns and self._is_calm():
                known.calm.append(seconds)
                if not self._turns:
                    return False
            known.lately.append(seconds)
            limit = self._limit(known)
            if limit is None:
                return False
            slow = seconds > limit
            self._slowed += slow
            step = -STEP * (1 - TOO_SLOW) if slow else STEP * TOO_SLOW
            self._level = min(self.limits.ceiling, max(-MOST_DEBT, self._level + step))
            return slow

    def undisturbed(self, kind: str, values: list[float], *, slack: float = 0.002) -> None:
        """What measures of a kind were before the build began, from a record of them."""
        with self._lock:
            known = self._kinds.setdefault(kind, _Kind(slack, deque(maxlen=_KEPT), deque(maxlen=_KEPT)))
            known.calm.extend(values)

    def limit(self, kind: str) -> float | None:
        """Above this a measure is too slow; None while too few undisturbed ones are known."""
        with self._lock:
            known = self._kinds.get(kind)
            return self._limit(known) if known else None

    def _limit(self, known: _Kind) -> float | None:
        if self.limits.slowdown is None or len(known.calm) < FEWEST_CALM:
            return None
        calm = percentile(known.calm, 0.95)
        return max(self.limits.slowdown * calm, calm + known.slack)

    def seen(self) -> dict[str, Any]:
        """For progress and reports: the share now, and of each kind the 95th percentiles in milliseconds."""
        with self._lock:
            told: dict[str, Any] = {"share": round(self.share, 3), "slowed": self._slowed}
            for name, known in self._kinds.items():
                if known.calm and known.lately:
                    calm, now = percentile(known.calm, 0.95), percentile(known.lately, 0.95)
                    told[name] = {
                        "p95_ms": round(1000 * now, 2),
                        "undisturbed_p95_ms": round(1000 * calm, 2),
                        "ratio": round(now / calm, 3) if calm > 0 else None,
                    }
            return told
