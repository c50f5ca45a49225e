"""How many cases a comparison needs, and how small an effect a set can detect.

Computed before results exist, so that an inconclusive comparison can say how many cases to add. Clusters enter
through the design effect.
"""

import math

import numpy as np
from numpy.typing import NDArray

from .distributions import log_factorials, normal_cdf, normal_quantile

_EXACT_PAIRS = 2_000
"""Largest number of independent pairs whose exact power is computed; beyond it, the formula is as good."""


def kish_size(sizes: NDArray[np.float64]) -> float:
    """The effective cluster size, sum of squares over sum (Kish 1965); the mean where sizes are equal."""
    return float((sizes**2).sum() / sizes.sum())


def design_effect(cluster_size: float, correlation: float) -> float:
    """Variance relative to independent cases: 1 + (m - 1) rho (Kish 1965, Survey Sampling, 5.4)."""
    if cluster_size < 1 or not -1 <= correlation <= 1:
        raise ValueError(f"no design effect for clusters of {cluster_size} with correlation {correlation}")
    return max(1e-9, 1.0 + (cluster_size - 1.0) * correlation)


def _small_sample(gap: float, alpha: float, effect: float, size: float) -> float:
    """Cases to add to the large-sample formula.

    For the exact test 1 / difference pairs (Fleiss, Levin and Paik 2003, Statistical Methods for Rates and
    Proportions, 4.2.2), and for Student's t z^2 / 2 clusters (Guenther 1981).
    """
    return effect / gap + normal_quantile(1.0 - alpha / 2.0) ** 2 / 2.0 * max(effect, size)


def _check_rate(difference: float, discordant: float) -> float:
    gap = abs(difference)
    if not 0 < gap <= discordant <= 1:
        raise ValueError(f"a difference of {difference} cannot come from {discordant} of the pairs")
    return gap


def cases_for_rate(
    difference: float,
    discordant: float,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    effect: float = 1.0,
    size: float = 1.0,
) -> int:
    """Pairs needed to detect a difference of rates with this power, two-sided (Connor 1987, Biometrics 43:207).

    `discordant` is the share of pairs where the two differ, at least `abs(difference)`; `effect` the design effect,
    `size` the cases in a cluster. For independent pairs, the formula can fall some tenths of a point short of the
    exact test's power; then the number is raised until it is reached.
    """
    gap = _check_rate(difference, discordant)
    z_alpha, z_power = normal_quantile(1.0 - alpha / 2.0), normal_quantile(power)
    needed = ((z_alpha * math.sqrt(discordant) + z_power * math.sqrt(discordant - gap * gap)) / gap) ** 2
    pairs = math.ceil(needed * effect + _small_sample(gap, alpha, effect, size) - 1e-9)
    if effect == size == 1.0:
        while pairs <= _EXACT_PAIRS and mcnemar_power(gap, discordant, pairs, alpha=alpha) < power:
            pairs += 1
    return pairs


def mcnemar_power(difference: float, discordant: float, pairs: int, *, alpha: float = 0.05) -> float:
    """The chance that McNemar's exact test of independent pairs detects a difference, with its true sign.

    Summed over how many pairs may differ (Duffy 1984, Biometrics 40:1005).
    """
    gap = _check_rate(difference, discordant)
    behind = (discordant - gap) / (2.0 * discordant)
    factorials = log_factorials(pairs)

    def binomial(n: int, p: float) -> NDArray[np.float64]:
        k = np.arange(n + 1)
        ways = factorials[n] - factorials[: n + 1] - factorials[n::-1]
        logs = ways + k * math.log(max(p, 1e-300)) + (n - k) * math.log(max(1.0 - p, 1e-300))
        return np.asarray(np.exp(logs), dtype=np.float64)

    total = 0.0
    for differing, chance in enumerate(binomial(pairs, discordant)):
        if chance < 1e-9:
            continue
        few = int(np.searchsorted(np.cumsum(binomial(differing, 0.5)), alpha / 2.0, side="right"))
        total += float(chance) * float(binomial(differing, behind)[:few].sum())
    return total


def power_for_rate(
    difference: float, discordant: float, pairs: float, *, alpha: float = 0.05, effect: float = 1.0, size: float = 1.0
) -> float:
    """The inverse of `cases_for_rate`: the chance to detect a true difference."""
    gap = _check_rate(difference, discordant)
    z_alpha = normal_quantile(1.0 - alpha / 2.0)
    worth = max(0.0, pairs - _small_sample(gap, alpha, effect, size)) / effect
    spread = discordant - gap * gap
    if spread <= 0:
        return 1.0 if worth * gap >= z_alpha**2 else 0.0
    return normal_cdf((gap * math.sqrt(worth) - z_alpha * math.sqrt(discordant)) / math.sqrt(spread))


def effect_for_rate(
    discordant: float, pairs: float, *, alpha: float = 0.05, power: float = 0.8, effect: float = 1.0, size: float = 1.0
) -> float | None:
    """The smallest difference of rates that `pairs` detect with this power; None when even the largest is missed.

    The largest has all discordant pairs on one side. By bisection of `power_for_rate`, which grows with the difference.
    """

    def reached(difference: float) -> float:
        return power_for_rate(difference, discordant, pairs, alpha=alpha, effect=effect, size=size)

    if discordant <= 0 or reached(discordant) < power:
        return None
    low, high = 0.0, discordant
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if middle <= 0 or reached(middle) < power else (low, middle)
    return high


def cases_for_margin(
    margin: float,
    discordant: float,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    effect: float = 1.0,
    size: float = 1.0,
) -> int:
    """Pairs needed to show "not worse by the margin" with this power, if there is no true difference of rates.

    One-sided at alpha / 2, as the lower end of a two-sided interval is (Liu, Hsueh, Hsieh and Chen 2002, Statistics in
    Medicine 21:231, for paired rates); if no pair differs, the score interval alone determines the number.
    """
    _check_rate(margin, 1.0)
    z_alpha, z_power = normal_quantile(1.0 - alpha / 2.0), normal_quantile(power)
    needed = (z_alpha + z_power) ** 2 * discordant / (margin * margin)
    least = z_alpha**2 * (1.0 - margin) / margin
    return math.ceil(max(needed, least) * effect + _small_sample(margin, alpha, effect, size) - 1e-9)


def cases_for_mean(
    difference: float,
    deviation: float,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    effect: float = 1.0,
    size: float = 1.0,
) -> int:
    """Pairs needed to detect a mean difference; `deviation` is the standard deviation of the paired differences.

    The usual formula for a paired t-test with Guenther's correction for the t distribution, z^2 / 2 more pairs, or
    clusters of `size` (Guenther 1981, The American Statistician 35:243).
    """
    if difference == 0 or deviation < 0:
        raise ValueError(f"no number of cases shows a difference of {difference} with deviation {deviation}")
    z_alpha, z_power = normal_quantile(1.0 - alpha / 2.0), normal_quantile(power)
    needed = ((z_alpha + z_power) * deviation / difference) ** 2 * effect + z_alpha**2 / 2.0 * max(effect, size)
    return math.ceil(needed - 1e-9)
