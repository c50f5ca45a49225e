"""How much of the time a build may embed, so that searches and indexing beside it keep their latency.

A measure is slow when it lies above what the 95th percentile of those taken in rests of the same minutes allows, so
that other load, which makes both slower, is not held against the build; rests for that are made at random times. Each
slow measure lowers the share by a big step and each other one raises it by a small one, in the proportion at which it
comes to rest where just the allowed part of all measures is slow (stochastic approximation of a quantile: Robbins and
Monro 1951, Ann. Math. Stat. 22:400). Knows nothing of databases; `watch.py` does the measuring.
"""

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from core.statistics import percentile

STEP = 0.25
"""What one slow and one fast measure move the share by, together."""

SLOWDOWN = 1.1
"""So many times its undisturbed 95th percentile a measure may take, unless it is said otherwise: well below what
people may notice at most (1.3), which is left for what a sample of searches does not show."""

TOO_SLOW = 0.04
"""The part of the measures that may lie above the limit: a little less than the 5% of a 95th percentile."""

ADDED = 0.03
"""The part that may be slow beyond those of the rests that are: where load alone brings many, less could not be told.
Where it brings 2% or fewer, both together are within the 5%."""

FIRST_STEPS = 4
"""The rise is so many times as fast before the first slow measure."""

MOST_DEBT = 1.0
"""So far below 0 the level may fall whose positive part is the share: what was too slow is made up for by as many
fast measures, also where the share cannot fall any more."""

SLICE_SECONDS = 0.04
"""While it gives way, it embeds for about so long at a time: much longer, and each search would meet a whole one."""

FULL_SLICE_SECONDS = 2.0
"""About so long, at most, while it need not give way: the next measure must come soon."""

PART_SECONDS = 10.0
"""So long at most, or a single content, between two writes: what was embedded is not lost, and progress is seen."""

SETTLE_SECONDS = 0.25
"""After so long without embedding, what is measured counts as undisturbed."""

COMPARE_EVERY = 20.0
COMPARE_SECONDS = 1.75
"""For measures of what is undisturbed it rests so long, after settling, about so often, unless it rests anyway."""

LONGEST_REST = 5.0
FEWEST_CALM = 5
_KEPT = 200
_KEPT_CALM = 100
"""So many make a 95th percentile, and are of the last minutes."""
_KEPT_TURNS = 2000
_UNWATCHED_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Limits:
    """The share stays between `floor` and `ceiling`. `slowdown` is how many times its undisturbed value the 95th
    percentile of a measure may be; None: nothing is watched, and the share is `ceiling`."""

    ceiling: float = 1.0
    floor: float = 0.02
    slowdown: float | None = SLOWDOWN

    def __post_init__(self) -> None:
        if not 0 < self.ceiling <= 1 or not 0 < self.floor <= 1:
            raise ValueError(f"a share lies above 0 and is at most 1: {self}")
        if self.slowdown is not None and self.slowdown <= 1:
            raise ValueError(f"slowdown {self.slowdown} leaves no room: it must be above 1")


@dataclass
class _Kind:
    slack: float
    compares: bool = False
    calm: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT_CALM))
    lately: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))


class Throttle:
    """Shared by the thread that embeds and those that measure. Times are seconds."""

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        chance: random.Random | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._floor = min(self.limits.floor, self.limits.ceiling)
        # The effect on searches is not known yet: begin low, the first measures raise it.
        start = self.limits.ceiling if self.limits.slowdown is None else max(self._floor, self.limits.ceiling / 4)
        self._level = start
        self._kinds: dict[str, _Kind] = {}
        self._turns: deque[tuple[float, float]] = deque(maxlen=_KEPT_TURNS)
        self._began: float | None = None
        self._chance = chance or random.Random()  # noqa: S311 - when to rest is no secret
        self._compare_at = clock() + self._interval()
        self._compared = (float("-inf"), float("-inf"))
        self._measured = float("-inf")
        self._slowed = 0
        self._rate = 0.0
        self._full_slice = 32

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
                return min(texts, self._full_slice) if self.watches else texts
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
            self._began = self._clock()

    def end(self, texts: int, seconds: float, check: Callable[[], None] = lambda: None) -> None:
        """`texts` took `seconds`; rests as long as the share asks for. `check` is called before and may raise."""
        with self._lock:
            now = self._clock()
            if self._began is not None:
                self._turns.append((self._began, now))
                self._began = None
            if seconds > 0 and texts:
                rate = texts / seconds
                self._rate = rate if not self._rate else 0.7 * self._rate + 0.3 * rate
                self._fit_full_slice(texts, seconds)
            rest = self._with_comparison(now, min(LONGEST_REST, seconds * (1.0 / self.share - 1.0)))
        check()
        if rest > 0:
            self._sleep(rest)

    def _fit_full_slice(self, texts: int, seconds: float) -> None:
        # By how long one took, not by the rate: a server that answers few texts as slowly as many shall get many.
        if texts >= self._full_slice and seconds <= FULL_SLICE_SECONDS / 2:
            self._full_slice *= 2
        elif seconds > FULL_SLICE_SECONDS:
            self._full_slice = max(1, min(self._full_slice, texts) // 2)

    def _with_comparison(self, now: float, rest: float) -> float:
        """`rest`, or longer when it is time to measure what is undisturbed and somebody measures."""
        if not self.watches or now - self._measured > _UNWATCHED_SECONDS:
            return rest
        typical = [percentile(known.calm, 0.5) for known in self._kinds.values() if known.compares and known.calm]
        needed = min(LONGEST_REST, SETTLE_SECONDS + max([COMPARE_SECONDS, *(3 * one for one in typical)]))
        if rest < needed and now < self._compare_at:
            return rest
        self._compare_at = now + max(rest, needed) + self._interval()
        if rest < needed:
            self._compared = (now, now + needed)
        return max(rest, needed)

    def _interval(self) -> float:
        # At random, so that load which comes and goes by the clock does not always meet a rest, or never one.
        return COMPARE_EVERY * self._chance.uniform(0.5, 1.5)

    @property
    def compares(self) -> bool:
        """Whether it rests at this moment for measures of what is undisturbed."""
        with self._lock:
            began, ended = self._compared
            return began + SETTLE_SECONDS <= self._clock() < ended

    def _was_calm(self, began: float, ended: float) -> bool:
        """Whether nothing was embedded from a little before `began` until `ended`."""
        since = began - SETTLE_SECONDS
        if self._began is not None and self._began < ended:
            return False
        if len(self._turns) == _KEPT_TURNS and self._turns[0][0] > since:
            return False  # what was then is no longer known
        for turn_began, turn_ended in reversed(self._turns):
            if turn_ended <= since:
                return True
            if turn_began < ended:
                return False
        return True

    def saw(self, kind: str, seconds: float, began: float | None = None, *, slack: float = 0.002) -> bool:
        """Takes a measure of live work in; true when it was slower than is allowed.

        With `began`, by the throttle's clock, one that nothing was embedded beside also says what is undisturbed.
        `slack` is what any measure of its kind may be above that, whatever the factor: a scheduler's tick is no harm.
        """
        with self._lock:
            known = self._kinds.setdefault(kind, _Kind(slack))
            if began is not None:
                known.compares = True
                self._measured = self._clock()
                if self._was_calm(began, began + seconds):
                    known.calm.append(seconds)
                if self._compared[0] <= began < self._compared[1] or not (self._turns or self._began is not None):
                    return False  # of a rest that live work would not have had, or before all
            known.lately.append(seconds)
            limit = self._limit(known)
            if limit is None:
                return False
            slow = seconds > limit
            allowed = max(TOO_SLOW, ADDED + sum(one > limit for one in known.calm) / len(known.calm))
            step = STEP * (allowed - slow)
            if slow:
                self._slowed += 1
            elif not self._slowed:
                step *= FIRST_STEPS
            self._level = min(self.limits.ceiling, max(-MOST_DEBT, self._level + step))
            return slow

    def undisturbed(self, kind: str, values: list[float], *, slack: float = 0.002) -> None:
        """What measures of a kind were before the build began, from a record of them."""
        with self._lock:
            known = self._kinds.setdefault(kind, _Kind(slack))
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
