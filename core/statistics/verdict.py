"""Turns paired numbers into a verdict (`better`, `not worse`, `worse`, `inconclusive`) for each metric and overall.

"No significant difference" is never taken for "not worse": that needs an interval that excludes the margin in the
set's card. What the data cannot decide is inconclusive, with the reason.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

import numpy as np

from .distributions import t_quantile
from .intervals import Interval, paired_rate_interval
from .paired import FEWEST_CLUSTERS, PairedData, cluster_interval, effective_pairs, sign_flip

ASSUMED_CORRELATION = 0.1
"""Assumed correlation of differences within a cluster, while too few cases differ to measure it. Values in software
repositories are mostly lower; with small clusters it costs little."""


class Verdict(StrEnum):
    BETTER = "better"
    NOT_WORSE = "not worse"
    WORSE = "worse"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class MetricSpec:
    """What a metric measures and how much worse it may become.

    `kind`: `rate` is a share between 0 and 1, compared by its difference; `ratio` a positive amount, compared by the
    ratio of means; `mean` any number, compared by its difference. `margin` is in the same terms: 0.05 is five points of
    a rate, 5% of a ratio, 0.05 of a mean's unit. `role`: `primary` and `guard` decide the overall verdict, `info`
    is only shown. `over`: all cases, or only those that both subjects resolved.
    """

    name: str
    kind: Literal["rate", "ratio", "mean"]
    better: Literal["higher", "lower"]
    margin: float
    role: Literal["primary", "guard", "info"] = "guard"
    over: Literal["all", "both resolved"] = "all"
    unit: str = ""
    title: str = ""

    @property
    def words(self) -> str:
        """The name for use in a sentence."""
        return self.name.replace("_", " ")

    def __post_init__(self) -> None:
        if not self.margin > 0 or (self.kind == "rate" and self.margin >= 1):
            raise ValueError(f"metric {self.name}: the margin {self.margin} is invalid; give a small positive one")


@dataclass(frozen=True)
class Effect:
    """One metric's comparison. `estimate` and `interval` are candidate minus baseline, or candidate over baseline."""

    metric: MetricSpec
    cases: int
    clusters: int
    baseline: float | None
    candidate: float | None
    estimate: float | None
    interval: Interval | None
    p: float | None
    verdict: Verdict
    reason: str
    wins: float = 0.0
    losses: float = 0.0
    p_adjusted: float | None = None
    design: float | None = None
    """Design effect: how many cases carry as much information as one independent case."""

    @property
    def neutral(self) -> float:
        """The value that means "no difference"."""
        return 1.0 if self.metric.kind == "ratio" else 0.0

    @property
    def gain(self) -> Interval | None:
        """The interval, signed so that more is better and 0 is no difference; logarithms for ratios."""
        if self.interval is None:
            return None
        low, high = self.interval.low, self.interval.high
        if self.metric.kind == "ratio":
            low, high = (math.log(low) if low > 0 else -math.inf), (math.log(high) if high > 0 else -math.inf)
        return Interval(low, high) if self.metric.better == "higher" else Interval(-high, -low)

    @property
    def allowance(self) -> float:
        """The margin on the scale of `gain`."""
        if self.metric.kind != "ratio":
            return self.metric.margin
        return math.log1p(self.metric.margin) if self.metric.better == "lower" else -math.log1p(-self.metric.margin)


def _undecided(metric: MetricSpec, data: PairedData | None, reason: str) -> Effect:
    cases, clusters = (data.cases, data.groups) if data else (0, 0)
    first = float(data.baseline.mean()) if data and data.cases else None
    second = float(data.candidate.mean()) if data and data.cases else None
    return Effect(metric, cases, clusters, first, second, None, None, None, Verdict.INCONCLUSIVE, reason)


def _no_ratio(data: PairedData) -> str:
    """Why amounts have no ratio of means."""
    sides = {"the baseline": data.baseline, "the candidate": data.candidate}
    if negative := [name for name, amounts in sides.items() if amounts.min() < 0]:
        return f"{negative[0]} has an amount below 0, so there is no ratio to compare"
    nothing = [name for name, amounts in sides.items() if not amounts.any()]
    return f"it is 0 in every case of {' and '.join(nothing)}, so there is no ratio to compare"


def compare_metric(
    metric: MetricSpec, data: PairedData | None, *, confidence: float = 0.95, seed: int = 0, draws: int = 4_000
) -> Effect:
    """Estimate, interval and p-value of one metric; its verdict is `inconclusive` until `conclude` sees all metrics.

    `data` is None if nothing could be paired. Too little data is not an error; raises `ValueError` for a rate
    outside [0, 1].
    """
    if data is None or data.cases == 0:
        return _undecided(metric, None, "no case has this metric on both sides")
    if data.groups < FEWEST_CLUSTERS:
        why = f"too few independent clusters: {data.groups}; at least {FEWEST_CLUSTERS} are needed"
        return _undecided(metric, data, why)
    first, second = float(data.baseline.mean()), float(data.candidate.mean())
    wins = float(np.clip(data.difference, 0, None).sum())
    losses = float(np.clip(-data.difference, 0, None).sum())
    design: float | None = None
    if metric.kind == "rate":
        if min(data.baseline.min(), data.candidate.min()) < 0 or max(data.baseline.max(), data.candidate.max()) > 1:
            raise ValueError(f"metric {metric.name}: a rate lies between 0 and 1")
        # A guard at 0 or 1 on both sides (no wrong patch at all) is still bounded by the score interval.
        if metric.role == "primary" and first == second and first in (0.0, 1.0):
            every = "every case succeeded" if first else "every case failed"
            return _undecided(metric, data, f"{every} under both: these cases cannot tell them apart")
        worth = effective_pairs(data, correlation=ASSUMED_CORRELATION)
        design = data.cases / worth
        critical = t_quantile(0.5 + confidence / 2.0, data.groups - 1)
        share = worth / data.cases
        interval = paired_rate_interval(wins * share, losses * share, worth, critical)
        estimate = second - first
    elif metric.kind == "ratio":
        if min(first, second) <= 0 or min(data.baseline.min(), data.candidate.min()) < 0:
            return _undecided(metric, data, _no_ratio(data))
        logs = cluster_interval(data, "log ratio", confidence=confidence, seed=seed, draws=draws)
        interval, estimate = Interval(math.exp(logs.low), math.exp(logs.high)), second / first
    else:
        interval = cluster_interval(data, "difference", confidence=confidence, seed=seed, draws=draws)
        estimate = second - first
    p = sign_flip(data, seed=seed)
    return Effect(
        metric, data.cases, data.groups, first, second, estimate, interval, p, Verdict.INCONCLUSIVE, "",
        wins, losses, design=design,
    )  # fmt: skip


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the given order (Holm 1979, Scandinavian Journal of Statistics 6:65)."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, running = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def conclude(effects: Sequence[Effect], *, alpha: float = 0.05) -> tuple[list[Effect], Verdict, str]:
    """Each metric's verdict, the overall one, and the reason of the overall one.

    "Better" and "worse" are claims of a difference: their p-values are adjusted over all metrics that decide, so
    that a false one comes up in at most `alpha` of comparisons. "Not worse" requires an interval above minus the
    margin; overall, every deciding metric must be so, which needs no adjustment (intersection-union test, Berger 1982,
    Technometrics 24:295). A metric that is surely worse, but within the margin, is "not worse"; its reason says so.
    """
    deciding = [index for index, effect in enumerate(effects) if effect.metric.role != "info"]
    tested = [index for index in deciding if effects[index].p is not None]
    adjusted = dict(zip(tested, holm([effects[index].p or 0.0 for index in tested]), strict=True))
    judged = [_judged(effect, adjusted.get(index, effect.p), alpha) for index, effect in enumerate(effects)]
    decisive = [judged[index] for index in deciding]
    if not decisive:
        return judged, Verdict.INCONCLUSIVE, "no metric decides"
    for verdict in (Verdict.WORSE, Verdict.INCONCLUSIVE):
        found = [effect for effect in decisive if effect.verdict is verdict]
        if found:
            return judged, verdict, "; ".join(f"{effect.metric.words}: {effect.reason}" for effect in found)
    better = [effect for effect in decisive if effect.verdict is Verdict.BETTER]
    if better:
        return judged, Verdict.BETTER, "; ".join(f"{effect.metric.words}: {effect.reason}" for effect in better)
    return judged, Verdict.NOT_WORSE, "every metric that decides stays within its margin"


def _judged(effect: Effect, p_adjusted: float | None, alpha: float) -> Effect:
    gain = effect.gain
    if gain is None or p_adjusted is None:
        return effect
    ahead = (effect.estimate or 0.0) > effect.neutral
    favourable = ahead == (effect.metric.better == "higher")
    differs = p_adjusted <= alpha
    if differs and favourable and gain.low > -effect.allowance:
        verdict, reason = Verdict.BETTER, "the difference is unlikely to be chance"
    elif gain.low > -effect.allowance:
        verdict, reason = Verdict.NOT_WORSE, "the interval stays within the margin"
        if differs:
            reason += ", though it is surely a little worse"
    elif differs and not favourable:
        verdict, reason = Verdict.WORSE, "the difference is unlikely to be chance and may exceed the margin"
    else:
        verdict, reason = Verdict.INCONCLUSIVE, "the interval is too wide to exclude the margin"
    return replace(effect, verdict=verdict, reason=reason, p_adjusted=p_adjusted)
