"""Confidence intervals for one rate, and for the difference of two paired rates.

Score intervals remain valid when nearly all cases agree: even if no case differs, they still bound how far
apart two subjects may be. Not for counts and ratios, which `paired.bootstrap` does.
"""

import math
from dataclasses import dataclass

from .distributions import beta_quantile, normal_quantile


@dataclass(frozen=True)
class Interval:
    """A two-sided confidence interval."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


def wilson(successes: float, trials: float, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a rate (Wilson 1927, JASA 22:209). Counts may be fractional, as effective sizes are.

    Raises `ValueError` when there are no trials or more successes than trials.
    """
    _check_counts(successes, trials)
    z = normal_quantile(0.5 + confidence / 2.0)
    rate = successes / trials
    spread = 1.0 + z * z / trials
    centre = (rate + z * z / (2.0 * trials)) / spread
    half = z / spread * math.sqrt(rate * (1.0 - rate) / trials + z * z / (4.0 * trials * trials))
    return Interval(max(0.0, centre - half), min(1.0, centre + half))


def clopper_pearson(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Exact interval of a rate (Clopper and Pearson 1934, Biometrika 26:404): covers at least as often as stated."""
    _check_counts(successes, trials)
    tail = (1.0 - confidence) / 2.0
    low = beta_quantile(tail, successes, trials - successes + 1) if successes else 0.0
    high = beta_quantile(1.0 - tail, successes + 1, trials - successes) if successes < trials else 1.0
    return Interval(low, high)


def _check_counts(successes: float, trials: float) -> None:
    if trials <= 0 or not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes of {trials} trials give no rate")


def paired_rate_interval(wins: float, losses: float, pairs: float, critical: float) -> Interval:
    """Tango's score interval of a difference of paired rates, (wins - losses) / pairs.

    `wins` and `losses` count the pairs where only the candidate or only the baseline succeeded. `critical` is the
    two-sided critical value: 1.96 for 95% of many independent pairs, Student's t with few clusters.
    Counts may be fractional: give clustered data as their effective number of pairs. Source: Tango
    1998, Statistics in Medicine 17:891, equations 3 and 4.
    """
    if pairs <= 0 or wins < 0 or losses < 0 or wins + losses > pairs * (1 + 1e-9):
        raise ValueError(f"{wins} wins and {losses} losses of {pairs} pairs give no difference")
    estimate = (wins - losses) / pairs

    def score(difference: float) -> float:
        b = -wins - losses + (2.0 * pairs - wins + losses) * difference
        c = -losses * difference * (1.0 - difference)
        q21 = (math.sqrt(max(0.0, b * b - 8.0 * pairs * c)) - b) / (4.0 * pairs)
        variance = pairs * (2.0 * q21 + difference * (1.0 - difference))
        distance = wins - losses - pairs * difference
        if variance <= 1e-300:
            return 0.0 if abs(distance) < 1e-12 else math.copysign(math.inf, distance)
        return distance / math.sqrt(variance)

    def root(outer: float, target: float) -> float:
        inner = estimate
        for _ in range(60):
            middle = (inner + outer) / 2.0
            inside = score(middle) < target if target > 0 else score(middle) > target
            inner, outer = (middle, outer) if inside else (inner, middle)
        return (inner + outer) / 2.0

    return Interval(root(-1.0, critical), root(1.0, -critical))
