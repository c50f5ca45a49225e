"""Estimates how many more queries would let the gate decide, for a verdict of "inconclusive".

Counted in files, since queries about one file mostly agree: only queries about more files help. The verdict itself is
`judge`'s.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from core.statistics import PairedData
from core.statistics.distributions import normal_quantile

ALPHA, POWER = 0.05, 0.8
RULE_OF_THREE = 3.0
"""An event seen in none of n cases may have a rate of up to 3/n (Hanley and Lippman-Hand 1983, JAMA 249:1743)."""

_UNSURE = 0.8
"""The confidence that the true spread is at most the planned one: the spread of a few queries is often too small by
chance (Browne 1995, Statistics in Medicine 14:1933)."""


@dataclass(frozen=True, slots=True)
class Enough:
    """`queries` more queries about `files` more files decide with power 0.8 if the models are equally good.
    `as_seen` more decide if the true difference is the measured one; None when that is about the same number."""

    queries: int
    files: int
    as_seen: int | None

    def __str__(self) -> str:
        where = f" about {self.files:,} more files" if self.files < 0.8 * self.queries else ""
        text = f"some {self.queries:,} more queries{where} would decide if the models are equally good"
        return f"{text}, {self.as_seen:,} if the difference stays as it is" if self.as_seen is not None else text


def enough(deciding: Sequence[PairedData], margin: float, level: float = ALPHA) -> Enough:
    """From the paired differences of each deciding metric on the same queries; empty if there were none.

    All metrics must be decided, so each is planned for a share of the error (Bonferroni). `level` is the significance
    level of the two-sided intervals.
    """
    power = 1.0 - (1.0 - POWER) / max(1, len(deciding))
    if not deciding or deciding[0].cases == 0:
        least = _files(0.0, 0.0, margin, power, level, 1)
        return Enough(least, least, None)
    cases, groups = deciding[0].cases, deciding[0].groups
    found = [(_spread(data), float(data.difference.mean())) for data in deciding]
    equal = max(_files(spread, 0.0, margin, power, level, len(found)) for spread, _ in found)
    as_seen = max(_files(spread, mean, margin, power, level, len(found)) for spread, mean in found)

    def more(files: int) -> tuple[int, int]:
        left = max(1, files - groups)
        return max(1, math.ceil(left * cases / groups)), left

    queries, files = more(equal)
    seen, _ = more(as_seen)
    apart = groups > 1 and not 0.8 <= seen / queries <= 1.25
    return Enough(queries, files, _rounded(seen) if apart else None)


def _files(spread: float, difference: float, margin: float, power: float, level: float, metrics: int) -> int:
    """The total number of files that show a metric to be no worse, or worse, whichever takes fewer.

    `spread` is the standard deviation of one file's contribution to the mean difference, `difference` the true mean.
    """
    z_alpha, z_power = normal_quantile(1.0 - level / 2.0), normal_quantile(power)
    z_worse = normal_quantile(1.0 - level / 2.0 / metrics)  # Holm's first step
    room = difference + margin
    ways = []
    if room > 0:
        by_interval = ((z_alpha + z_power) * spread / room) ** 2 + z_alpha**2 / 2.0
        # room - z spread / sqrt(n) - 3 / n > 0, solved for 1 / sqrt(n): failures that no query has shown.
        root = math.sqrt((z_power * spread) ** 2 + 4.0 * RULE_OF_THREE * room)
        by_rule = (2.0 * RULE_OF_THREE / (root - z_power * spread)) ** 2
        ways.append(max(by_interval if spread else 0.0, by_rule))
    if difference < 0 and spread:
        ways.append(((z_worse + z_power) * spread / difference) ** 2 + z_worse**2 / 2.0)
    return math.floor(min(ways, default=RULE_OF_THREE / margin) + 1e-9) + 1


def _spread(data: PairedData) -> float:
    """Standard deviation of one file's contribution to the mean difference, estimated on the high side."""
    if data.groups < 2:
        return float(data.difference.std())
    degrees = data.groups - 1
    # Wilson and Hilferty's approximation of the lower quantile of chi squared.
    part = 2.0 / (9.0 * degrees)
    low = max(0.05, (1.0 - part - normal_quantile(_UNSURE) * math.sqrt(part)) ** 3)
    return math.sqrt(data.mean_variance * data.groups / low)


def _rounded(value: int) -> int:
    """Rounded up to two digits: the estimate is no more precise."""
    digits = int(10 ** max(0, len(str(value)) - 2))
    return -(-value // digits) * digits
