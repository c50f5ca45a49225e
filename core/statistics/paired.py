"""Paired tests and intervals that respect clusters: exact McNemar, sign flips, and the cluster bootstrap.

Cases from one project tend to win or lose together, so whole clusters are flipped or
resampled. With one case per cluster, the sign-flip test of success is McNemar's exact test.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .distributions import binomial_cdf, normal_cdf, normal_quantile, t_quantile
from .intervals import Interval
from .power import kish_size

Array = NDArray[np.float64]

FEWEST_CLUSTERS = 6
"""With fewer, no assignment of signs is rarer than 5%, so no test at that level can reject anything."""
_ENUMERATED = 13
_EXACT_WORK = 5e7
_NORMAL_FROM = 5000
_CHUNK_NUMBERS = 4_000_000


class TooFewClusters(ValueError):
    """There are too few independent clusters for an interval or a test."""


@dataclass(frozen=True)
class PairedData:
    """One number per case from each of two subjects. All arrays have shape (cases,); `clusters` holds integer labels.

    Average the repeats of a case first: the unit is a case, not a run of it. Raises
    `ValueError` for unequal lengths or values that are not finite.
    """

    baseline: Array
    candidate: Array
    clusters: NDArray[np.int64]

    def __post_init__(self) -> None:
        if not self.baseline.shape == self.candidate.shape == self.clusters.shape or self.baseline.ndim != 1:
            raise ValueError(
                f"paired data need equal lengths, not {self.baseline.shape}, {self.candidate.shape}, "
                f"{self.clusters.shape}"
            )
        if not (np.isfinite(self.baseline).all() and np.isfinite(self.candidate).all()):
            raise ValueError("paired data hold a value that is not finite: leave out the case, or fix its metric")

    @classmethod
    def of(cls, baseline: object, candidate: object, clusters: object = None) -> "PairedData":
        """From anything array-like. Without `clusters`, each case is a cluster of its own. Labels may be strings."""
        first = np.asarray(baseline, dtype=np.float64)
        second = np.asarray(candidate, dtype=np.float64)
        labels = np.arange(first.size) if clusters is None else np.asarray(clusters)
        _, codes = np.unique(labels, return_inverse=True)
        return cls(first, second, codes.astype(np.int64).reshape(-1))

    @property
    def cases(self) -> int:
        return int(self.baseline.size)

    @cached_property
    def difference(self) -> Array:
        """Candidate minus baseline, for each case."""
        return self.candidate - self.baseline

    @cached_property
    def sizes(self) -> Array:
        """Cases in each cluster."""
        return np.bincount(self.clusters).astype(np.float64)

    @cached_property
    def sums(self) -> Array:
        """Rows: clusters. Columns: summed baseline, summed candidate, number of cases."""
        return np.stack(
            [np.bincount(self.clusters, self.baseline), np.bincount(self.clusters, self.candidate), self.sizes], axis=1
        )

    @property
    def groups(self) -> int:
        """Number of clusters."""
        return int(self.sizes.size)

    @property
    def independent(self) -> bool:
        return self.groups == self.cases

    @cached_property
    def mean_variance(self) -> float:
        """Variance of the mean difference, from the spread of clusters (Liang and Zeger 1986), with G / (G - 1)."""
        if self.groups < 2:
            return math.inf
        residual = np.bincount(self.clusters, self.difference - self.difference.mean())
        return float(self.groups / (self.groups - 1) * (residual**2).sum() / self.cases**2)


def mcnemar(wins: int, losses: int) -> float:
    """Two-sided p-value of McNemar's exact test: the binomial test of the discordant pairs (McNemar 1947).

    Only valid for independent pairs. `sign_flip` is the same test where pairs are clustered.
    """
    if wins < 0 or losses < 0:
        raise ValueError(f"{wins} wins and {losses} losses: counts are not negative")
    return min(1.0, 2.0 * binomial_cdf(min(wins, losses), wins + losses, 0.5)) if wins + losses else 1.0


def sign_flip(data: PairedData, *, draws: int = 9_999, seed: int = 0) -> float:
    """Two-sided p-value of "both subjects are alike": flips the sign of each cluster's summed difference.

    Under that hypothesis either label fits either subject, cluster by cluster, so every assignment of signs is
    equally likely: an exact test (Fisher 1935), and an approximate one of equal means where the two only differ
    in other ways (Canay, Romano and Shaikh 2017, Econometrica 85:1013). Exact where that is cheap, otherwise
    from seeded draws that count the observed assignment (Phipson and Smyth 2010), or the normal limit.
    """
    flips = np.abs(np.bincount(data.clusters, data.difference))
    observed = abs(float(data.difference.sum()))
    scale = float(flips.max(initial=0.0))
    flips = flips[flips > 1e-12 * max(1.0, scale)]
    slack = 1e-9 * max(1.0, float(flips.sum()))
    if flips.size == 0:
        return 1.0
    if np.all(flips == flips[0]):
        wins = round((flips.size + observed / float(flips[0])) / 2.0)
        return mcnemar(wins, flips.size - wins)
    if flips.size <= _ENUMERATED:
        signs = 1.0 - 2.0 * ((np.arange(1 << flips.size)[:, None] >> np.arange(flips.size)) & 1)
        return float(np.mean(np.abs(signs @ flips) >= observed - slack))
    whole = np.rint(flips)
    if np.all(np.abs(flips - whole) < 1e-9) and flips.size * float(whole.sum()) <= _EXACT_WORK:
        return _whole_sign_flip(whole.astype(np.int64), round(observed))
    if flips.size > _NORMAL_FROM:
        return 2.0 * normal_cdf(-observed / math.sqrt(float((flips**2).sum())))
    rng, beyond, left = np.random.default_rng(seed), 0, draws
    single, width = flips.astype(np.float32), -(-flips.size // 8)
    # Single precision, so a sum within its rounding of the observed one counts as beyond it: the safe side.
    near = observed - 1e-5 * float(flips.sum())
    while left > 0:
        rows = min(left, max(1, _CHUNK_NUMBERS // flips.size))
        bits = np.frombuffer(rng.bytes(rows * width), dtype=np.uint8).reshape(rows, width)
        positive = np.unpackbits(bits, axis=1, count=flips.size).astype(np.float32) @ single
        beyond += int((np.abs(2.0 * positive - float(flips.sum())) >= near).sum())
        left -= rows
    return (1 + beyond) / (1 + draws)


def _whole_sign_flip(flips: NDArray[np.int64], observed: int) -> float:
    """The exact distribution of a sum of whole numbers with random signs, by convolution."""
    total = int(flips.sum())
    mass = np.zeros(2 * total + 1)
    mass[total] = 1.0
    for flip in flips:
        mass = 0.5 * (np.roll(mass, flip) + np.roll(mass, -flip))
    return float(min(1.0, mass[np.abs(np.arange(-total, total + 1)) >= observed].sum()))


def bootstrap(
    data: PairedData,
    statistic: Literal["difference", "log ratio"],
    *,
    confidence: float = 0.95,
    draws: int = 4_000,
    seed: int = 0,
) -> Interval:
    """BCa interval of the difference of means, or of the logarithm of the ratio of means, from resampled clusters.

    Bias-corrected and accelerated (Efron 1987, JASA 82:171), accelerated by leaving out one cluster at a time
    (Davison and Hinkley 1997, section 3.8 for clusters). Its levels are those of Student's t with G - 1 degrees
    of freedom, widened by sqrt(G / (G - 1)), since plain bootstrap intervals are too short for few clusters
    (Hesterberg 2015, The American Statistician 69:371). Raises `TooFewClusters` below six clusters and
    `ValueError` for a ratio of means that are not both positive.
    """
    groups = data.groups
    if groups < FEWEST_CLUSTERS:
        raise TooFewClusters(f"{groups} independent clusters; an interval needs at least {FEWEST_CLUSTERS}")
    sums = data.sums
    whole = sums.sum(axis=0)
    if statistic == "log ratio" and min(whole[0], whole[1]) <= 0:
        raise ValueError("a ratio needs positive means on both sides")

    def value(rows: Array) -> Array:
        if statistic == "difference":
            return np.asarray((rows[..., 1] - rows[..., 0]) / rows[..., 2])
        # A resample of only zeros has no ratio; a floor puts it at that end of the scale.
        floor = 1e-9 * whole[:2] / groups
        return np.asarray(np.log(np.maximum(rows[..., 1], floor[1])) - np.log(np.maximum(rows[..., 0], floor[0])))

    estimate = float(value(whole))
    rng, parts, left = np.random.default_rng(seed), [], draws
    while left > 0:
        rows = min(left, max(1, _CHUNK_NUMBERS // groups))
        drawn = rng.integers(0, groups, size=(rows, groups))
        offsets = drawn + groups * np.arange(rows)[:, None]
        weights = np.bincount(offsets.ravel(), minlength=rows * groups).reshape(rows, groups)
        parts.append(value(weights @ sums))
        left -= rows
    replicates = np.sort(np.concatenate(parts))
    if replicates[0] == replicates[-1]:
        return Interval(estimate, estimate)
    slack = 1e-12 * max(1.0, abs(estimate))
    below = np.mean(replicates < estimate - slack) + 0.5 * np.mean(np.abs(replicates - estimate) <= slack)
    bias = normal_quantile(float(np.clip(below, 1 / draws, 1 - 1 / draws)))
    left_out = value(whole - sums) if groups > 1 else np.zeros(1)
    influence = left_out.mean() - left_out
    spread = float((influence**2).sum()) ** 1.5
    acceleration = float((influence**3).sum()) / (6.0 * spread) if spread > 0 else 0.0
    z = t_quantile(0.5 + confidence / 2.0, groups - 1) * math.sqrt(groups / (groups - 1))
    ends = []
    for side in (-z, z):
        shifted = bias + side
        level = normal_cdf(bias + shifted / max(1e-6, 1.0 - acceleration * shifted))
        ends.append(float(np.quantile(replicates, min(1.0, max(0.0, level)))))
    return Interval(min(ends), max(ends))


def cluster_interval(
    data: PairedData,
    statistic: Literal["difference", "log ratio"],
    *,
    confidence: float = 0.95,
    draws: int = 4_000,
    seed: int = 0,
) -> Interval:
    """The span of the intervals of `bootstrap` and of Student's t from the spread of clusters. Raises like `bootstrap`.

    The bootstrap follows skewed data but is too short for few clusters, where t covers as often as stated (simulated:
    92% and 94% for ten clusters of skewed counts); at each end the outer one is the safe side. The variance of
    a log ratio is that of its linear part (Cochran 1977, Sampling Techniques, 6.3), with G / (G - 1).
    """
    resampled = bootstrap(data, statistic, confidence=confidence, draws=draws, seed=seed)
    sums, groups = data.sums, data.groups
    first, second, cases = sums.sum(axis=0)
    if statistic == "difference":
        estimate = (second - first) / cases
        linear = (sums[:, 1] - sums[:, 0] - estimate * sums[:, 2]) / cases
    else:
        estimate = math.log(second / first)
        linear = sums[:, 1] / second - sums[:, 0] / first
    deviation = math.sqrt(groups / (groups - 1) * float((linear**2).sum()))
    half = t_quantile(0.5 + confidence / 2.0, groups - 1) * deviation
    return Interval(min(resampled.low, estimate - half), max(resampled.high, estimate + half))


def effective_pairs(data: PairedData, *, correlation: float) -> float:
    """The effective number of independent pairs, for the difference of two rates.

    The variance between clusters is divided by that of independent pairs. With few clusters that differ, this ratio is
    mostly noise, so it is shrunk towards the design effect that `correlation` implies, as if four more such clusters
    had been seen. A measured ratio above the result is used unchanged.
    """
    wins = float(np.clip(data.difference, 0, None).sum())
    losses = float(np.clip(-data.difference, 0, None).sum())
    expected = 1.0 + (kish_size(data.sizes) - 1.0) * correlation
    independent = wins + losses - (wins - losses) ** 2 / data.cases
    if independent <= 1e-12:
        return data.cases / expected
    measured = data.mean_variance * data.cases**2 / independent
    seen = int(np.count_nonzero(np.bincount(data.clusters, np.abs(data.difference))))
    shrunk = (seen * measured + 4.0 * expected) / (seen + 4.0)
    return data.cases / max(measured, shrunk)
