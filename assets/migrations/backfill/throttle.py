"""What part of the time a build may embed, so that live searches and indexing keep their latency.

A latency is slow when it exceeds a limit derived from the 95th percentile of the baseline: latencies measured while
nothing was embedded. Some of the baseline comes from pauses made for it at random times, so that other load, which
slows both, does not count against the build. Each slow latency lowers the share by a big step and each other one
raises it by a small one, in the proportion at which the share settles where just the allowed part of all latencies is
slow (stochastic approximation of a quantile: Robbins and Monro 1951, Ann. Math. Stat. 22:400). Does not depend on
databases; `monitor.py` measures.
"""

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from core.statistics import percentile

STEP = 0.25
"""The sum of the share's step down after a slow latency and its step up after another one."""

SLOWDOWN = 1.1
"""Default factor by which a latency may exceed the baseline's 95th percentile. Well below what users may notice at
most (1.3), which leaves room for what a sample of searches does not show."""

TOO_SLOW = 0.04
"""The part of the latencies that may exceed the limit: a little less than the 5% of a 95th percentile."""

ADDED = 0.03
"""The part that may be slow beyond the slow part of the baseline: where load alone makes many slow, a smaller part
could not be detected. Where load makes 2% or fewer slow, both together are within the 5%."""

FIRST_STEPS = 4
"""The share rises this many times as fast before the first slow latency."""

MOST_DEBT = 1.0
"""How far below 0 the level may fall, whose positive part is the share: slow latencies must be made up for by as many
fast ones, also where the share cannot fall any more."""

SLICE_SECONDS = 0.04
"""Target time of one call of the model while throttled: a much longer one would overlap each search."""

FULL_SLICE_SECONDS = 2.0
"""The longest time of one call of the model at full speed: the next latency must be measured soon."""

PART_SECONDS = 10.0
"""The longest time between two writes, except for a single content: bounds lost work and keeps progress visible."""

SETTLE_SECONDS = 0.25
"""Time without embedding before a latency counts as baseline."""

COMPARE_EVERY = 20.0
COMPARE_SECONDS = 1.75
"""Mean time between pauses for the baseline, and their length after settling; ordinary pauses that long serve too."""

LONGEST_REST = 5.0
FEWEST_BASELINE = 5
_KEPT = 200
_KEPT_BASELINE = 100
"""Enough latencies for a 95th percentile, and all from the last minutes."""
_KEPT_TURNS = 2000
_UNMEASURED_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Limits:
    """The share stays between `floor` and `ceiling`. `slowdown` is the factor by which the 95th percentile of a
    latency may exceed its baseline; None: nothing is measured, and the share is `ceiling`."""

    ceiling: float = 1.0
    floor: float = 0.02
    slowdown: float | None = SLOWDOWN

    def __post_init__(self) -> None:
        if not 0 < self.ceiling <= 1 or not 0 < self.floor <= 1:
            raise ValueError(f"a share must be above 0 and at most 1: {self}")
        if self.slowdown is not None and self.slowdown <= 1:
            raise ValueError(f"slowdown {self.slowdown} leaves no room: it must be above 1")


@dataclass
class _Kind:
    """Latencies of one kind in seconds; `slack` as for `Throttle.record`. `timed`: their start times are known."""

    slack: float
    timed: bool = False
    baseline: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT_BASELINE))
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))


class Throttle:
    """Shared by the thread that embeds and those that measure. Times are seconds of `clock`."""

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
        # The effect on searches is not known yet: start low, the first latencies raise it.
        self._level = self.limits.ceiling / 4 if self.measures else self.limits.ceiling
        self._kinds: dict[str, _Kind] = {}
        self._turns: deque[tuple[float, float]] = deque(maxlen=_KEPT_TURNS)
        self._began: float | None = None
        self._chance = chance or random.Random()  # noqa: S311 - when to pause is not a secret
        self._compare_at = clock() + self._interval()
        self._compared = (float("-inf"), float("-inf"))
        self._measured = float("-inf")
        self._slowed = 0
        self._rate = 0.0
        self._full_slice = 32

    @property
    def measures(self) -> bool:
        return self.limits.slowdown is not None

    @property
    def share(self) -> float:
        """The part of the time in which it may embed now."""
        return max(min(self.limits.floor, self.limits.ceiling), self._level)

    def release(self) -> None:
        """Raises the share to the ceiling: nothing can be measured, so nothing is known to be disturbed."""
        with self._lock:
            self._level = self.limits.ceiling

    def slice(self, texts: int) -> int:
        """How many of `texts` to embed before the next rest."""
        with self._lock:
            if self.share >= 1.0:
                return min(texts, self._full_slice) if self.measures else texts
            return max(1, min(texts, int(self._rate * SLICE_SECONDS) if self._rate else 8))

    def part(self, most: int) -> int:
        """How many texts, at most `most`, to embed before they are written: about `PART_SECONDS`, rests included."""
        with self._lock:
            if self.share >= 1.0 or not self._rate:
                return most
            return max(1, min(most, int(self._rate * self.share * PART_SECONDS)))

    def begin(self) -> None:
        """Call before each call of the model."""
        with self._lock:
            self._began = self._clock()

    def end(self, texts: int, seconds: float, check: Callable[[], None] = lambda: None) -> None:
        """Call after the model embedded `texts` in `seconds`: calls `check`, which may raise, then sleeps as long as
        the share demands."""
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
        # By the time of one call, not by the rate: a server that answers few texts as slowly as many should get many.
        if texts >= self._full_slice and seconds <= FULL_SLICE_SECONDS / 2:
            self._full_slice *= 2
        elif seconds > FULL_SLICE_SECONDS:
            self._full_slice = max(1, min(self._full_slice, texts) // 2)

    def _with_comparison(self, now: float, rest: float) -> float:
        """`rest`, made longer when the baseline is due and something measures it."""
        if not self.measures or now - self._measured > _UNMEASURED_SECONDS:
            return rest
        typical = [percentile(kind.baseline, 0.5) for kind in self._kinds.values() if kind.timed and kind.baseline]
        needed = min(LONGEST_REST, SETTLE_SECONDS + max([COMPARE_SECONDS, *(3 * one for one in typical)]))
        if rest < needed and now < self._compare_at:
            return rest
        self._compare_at = now + max(rest, needed) + self._interval()
        if rest < needed:
            self._compared = (now, now + needed)
        return max(rest, needed)

    def _interval(self) -> float:
        # Random, so that periodic load does not always coincide with a pause, or never.
        return COMPARE_EVERY * self._chance.uniform(0.5, 1.5)

    @property
    def comparing(self) -> bool:
        """Whether it pauses at this moment to measure the baseline."""
        with self._lock:
            began, ended = self._compared
            return began + SETTLE_SECONDS <= self._clock() < ended

    def _was_undisturbed(self, began: float, ended: float) -> bool:
        """Whether nothing was embedded from `SETTLE_SECONDS` before `began` until `ended`."""
        since = began - SETTLE_SECONDS
        if self._began is not None and self._began < ended:
            return False
        if len(self._turns) == _KEPT_TURNS and self._turns[0][0] > since:
            return False  # the turns of that time are not stored any more
        recent = takewhile(lambda turn: turn[1] > since, reversed(self._turns))
        return not any(turn_began < ended for turn_began, _ in recent)

    def record(self, kind: str, seconds: float, began: float | None = None, *, slack: float = 0.002) -> None:
        """Adapts the share to a latency of live work.

        With `began`, the time of its start, it also joins the baseline if nothing was embedded meanwhile. `slack` is
        what a latency of its kind may exceed the baseline by, whatever the factor: a scheduler's tick does no harm.
        """
        with self._lock:
            known = self._kinds.setdefault(kind, _Kind(slack))
            if began is not None:
                known.timed = True
                self._measured = self._clock()
                if self._was_undisturbed(began, began + seconds):
                    known.baseline.append(seconds)
                if self._compared[0] <= began < self._compared[1] or not (self._turns or self._began is not None):
                    return  # in a pause that live work would not have had, or before the first text is embedded
            known.recent.append(seconds)
            limit = self._limit(known)
            if limit is None:
                return
            slow = seconds > limit
            allowed = max(TOO_SLOW, ADDED + sum(one > limit for one in known.baseline) / len(known.baseline))
            step = STEP * (allowed - slow)
            if slow:
                self._slowed += 1
            elif not self._slowed:
                step *= FIRST_STEPS
            self._level = min(self.limits.ceiling, max(-MOST_DEBT, self._level + step))

    def add_baseline(self, kind: str, latencies: list[float], *, slack: float = 0.002) -> None:
        """Adds latencies recorded before the build began."""
        with self._lock:
            self._kinds.setdefault(kind, _Kind(slack)).baseline.extend(latencies)

    def limit(self, kind: str) -> float | None:
        """The latency above which one counts as slow; None while the baseline is too small."""
        with self._lock:
            known = self._kinds.get(kind)
            return self._limit(known) if known else None

    def _limit(self, known: _Kind) -> float | None:
        if self.limits.slowdown is None or len(known.baseline) < FEWEST_BASELINE:
            return None
        baseline = percentile(known.baseline, 0.95)
        return max(self.limits.slowdown * baseline, baseline + known.slack)

    def summary(self) -> dict[str, Any]:
        """For progress and reports: the share now, how many latencies were slow, and each kind's 95th percentiles in
        milliseconds."""
        with self._lock:
            found: dict[str, Any] = {"share": round(self.share, 3), "slowed": self._slowed}
            for name, known in self._kinds.items():
                if known.baseline and known.recent:
                    baseline, now = percentile(known.baseline, 0.95), percentile(known.recent, 0.95)
                    found[name] = {
                        "p95_ms": round(1000 * now, 2),
                        "undisturbed_p95_ms": round(1000 * baseline, 2),
                        "ratio": round(now / baseline, 3) if baseline > 0 else None,
                    }
            return found
