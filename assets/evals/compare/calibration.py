"""Measures the verdict's error rates on simulated comparisons whose true answer is known.

A/A comparisons measure false alarms, planted regressions measure power, and a regression of exactly the margin measures
false "not worse" verdicts. Some data are clustered; McNemar's test, which ignores clusters, is run for comparison. Not
about any real subject.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from core.statistics import (
    MetricSpec,
    PairedData,
    Verdict,
    cases_for_mean,
    cases_for_rate,
    clopper_pearson,
    compare_metric,
    conclude,
    design_effect,
    mcnemar,
)

SUCCESS = MetricSpec("success", "rate", "higher", 0.05, "primary")
ITERATIONS = MetricSpec("iterations", "ratio", "lower", 0.10)
CODE = MetricSpec("code", "ratio", "lower", 0.25, over="both resolved")
METRICS = (SUCCESS, ITERATIONS, CODE)


@dataclass(frozen=True)
class World:
    """How simulated subjects behave: `clusters` of `size` cases, with a success rate near `rate`.

    A case is equally difficult for both subjects (`spread`, the standard deviation of its logit). A cluster may suit
    one subject better (`cluster_spread`), which correlates the differences within it. `drop` is subtracted from the
    candidate's expected success; `growth` multiplies its iterations.
    """

    clusters: int = 20
    size: int = 8
    rate: float = 0.65
    spread: float = 1.5
    cluster_spread: float = 1.2
    drop: float = 0.0
    growth: float = 1.0

    @cached_property
    def mean_chance(self) -> float:
        """The baseline's expected success, by Gauss-Hermite quadrature.

        Not the mean of one sample: scaling the drop by it would make the clusters dependent on each other.
        """
        nodes, weights = np.polynomial.hermite_e.hermegauss(64)
        logit = np.log(self.rate / (1 - self.rate)) + np.hypot(self.spread, self.cluster_spread) * nodes
        return float((weights / (1 + np.exp(-logit))).sum() / weights.sum())


@dataclass(frozen=True)
class Rate:
    """How often something occurred in `runs` comparisons, with its exact 95% interval, and what is promised of it.
    `kept` is false if the interval excludes the promise."""

    name: str
    count: int
    runs: int
    rate: float
    low: float
    high: float
    promise: str
    kept: bool


def simulate(world: World, rng: np.random.Generator) -> dict[str, PairedData]:
    """One comparison's data, by metric. The subjects differ in `drop` and `growth` alone."""
    n = world.clusters * world.size
    label = np.repeat(np.arange(world.clusters), world.size)
    hardness = np.log(world.rate / (1 - world.rate)) + rng.normal(0, world.spread, n)
    won, effort = [], []
    for candidate in (False, True):
        taste = rng.normal(0, world.cluster_spread, world.clusters)[label]
        chance = 1 / (1 + np.exp(-(hardness + taste)))
        if candidate:
            chance = chance * (1 - world.drop / world.mean_chance)
        won.append((rng.random(n) < chance).astype(float))
        work = np.exp(1.5 - 0.3 * hardness - 0.3 * taste + rng.normal(0, 0.5, n))
        effort.append(np.ceil(work * (world.growth if candidate else 1.0) * 4))
    length = [np.ceil(np.exp(rng.normal(2, 0.8, n)))] * 2
    code = [np.maximum(1, one + rng.integers(-2, 3, n)) for one in length]
    both = (won[0] > 0) & (won[1] > 0)
    return {
        "success": PairedData.of(won[0], won[1], label),
        "iterations": PairedData.of(effort[0], effort[1], label),
        "code": PairedData.of(code[0][both], code[1][both], label[both]),
    }


@dataclass
class Tally:
    """Counts over many comparisons. `naive`: McNemar's test, which ignores clusters, finds a difference at 5%;
    `covered`: the 95% interval of success contains the true difference."""

    runs: int
    verdicts: dict[Verdict, int]
    naive: int = 0
    covered: int = 0


def run_comparisons(world: World, runs: int, seed: int, metrics: tuple[MetricSpec, ...] = METRICS) -> Tally:
    """Simulates and evaluates `runs` comparisons. `naive` and `covered` are about success, so they mean something only
    if it is the first of `metrics`."""
    count = Tally(runs, dict.fromkeys(Verdict, 0))
    rng = np.random.default_rng(seed)
    for index in range(runs):
        data = simulate(world, rng)
        effects = [compare_metric(metric, data[metric.name], seed=seed + index, draws=1_000) for metric in metrics]
        judged, overall, _ = conclude(effects)
        count.verdicts[overall] += 1
        success = judged[0]
        count.naive += mcnemar(round(success.wins), round(success.losses)) <= 0.05
        count.covered += success.interval is not None and -world.drop in success.interval
    return count


def _rate(name: str, count: int, runs: int, promise: str, *, most: float = 1.0, least: float = 0.0) -> Rate:
    interval = clopper_pearson(count, runs)
    return Rate(
        name, count, runs, count / runs, interval.low, interval.high, promise,
        interval.low <= most and interval.high >= least,
    )  # fmt: skip


def planned(world: World, *, power: float, discordant: float, correlation: float, metrics: int) -> int:
    """The number of clusters that detects the world's `drop` with this power, at the level of Holm's first step."""
    effect = design_effect(world.size, correlation)
    cases = cases_for_rate(world.drop, discordant, alpha=0.05 / metrics, power=power, effect=effect, size=world.size)
    return -(-cases // world.size)


def planned_for_iterations(world: World, *, power: float, seed: int, metrics: int, comparisons: int = 2_000) -> int:
    """The number of clusters that detects the world's `growth` with this power. Mean and variance come from a simulated
    pilot, a large one since iterations have a long-tailed distribution."""
    rng, differences, variances = np.random.default_rng(seed), [], []
    for _ in range(comparisons):
        data = simulate(world, rng)["iterations"]
        differences.append(float(data.difference.mean()))
        variances.append(data.mean_variance * data.cases)
    # The variance of a mean over clusters already includes the design effect.
    deviation = float(np.sqrt(np.mean(variances)))
    cases = cases_for_mean(
        float(np.mean(differences)), deviation, alpha=0.05 / metrics, power=power, size=world.size
    )  # fmt: skip
    return -(-cases // world.size)


def pilot(world: World, seed: int, comparisons: int = 200) -> tuple[float, float]:
    """The share of discordant pairs, and the intraclass correlation of the differences (one-way ANOVA)."""
    rng = np.random.default_rng(seed)
    differs, between, total = [], [], []
    for _ in range(comparisons):
        difference = simulate(world, rng)["success"].difference
        differs.append(float(np.abs(difference).mean()))
        means = difference.reshape(world.clusters, world.size)
        between.append(float(means.mean(axis=1).var(ddof=1)) * world.size)
        total.append(float(means.var(axis=1, ddof=1).mean()) if world.size > 1 else 0.0)
    outer, inner = float(np.mean(between)), float(np.mean(total))
    if world.size == 1:
        return float(np.mean(differs)), 0.0
    return float(np.mean(differs)), max(0.0, (outer - inner) / (outer + (world.size - 1) * inner))


def calibrate(comparisons: int = 1_000, seed: int = 20_260) -> list[Rate]:
    """The whole table. Deterministic for a seed; each row with 1,000 comparisons takes about ten seconds."""
    even, clustered = World(clusters=100, size=1, cluster_spread=0.0), World()
    few = World(clusters=10, size=4)
    rates = []
    for name, world in (("independent cases", even), ("clustered cases", clustered), ("ten clusters", few)):
        found = run_comparisons(world, comparisons, seed)
        verdicts = found.verdicts
        alarms = verdicts[Verdict.WORSE] + verdicts[Verdict.BETTER]
        rates.append(_rate(f"A/A, {name}: false alarms", alarms, comparisons, "at most 5%", most=0.05))
        rates.append(
            _rate(f"A/A, {name}: 95% interval covers 0", found.covered, comparisons, "about 95%", least=0.95, most=0.99)
        )
        if world.size > 1:
            rates.append(
                _rate(f"A/A, {name}: McNemar's test without clusters", found.naive, comparisons, "none: shown only")
            )
    for power in (0.8, 0.9):
        for name, world in (("independent cases", even), ("clustered cases", clustered)):
            worse = replace(world, drop=0.15)
            discordant, correlation = pilot(worse, seed)
            clusters = planned(worse, power=power, discordant=discordant, correlation=correlation, metrics=len(METRICS))
            found = run_comparisons(replace(worse, clusters=clusters), comparisons, seed + 1)
            caught = found.verdicts[Verdict.WORSE]
            text = f"15 points worse, {name}, {clusters * world.size} cases planned for {power:.0%}: caught"
            rates.append(_rate(text, caught, comparisons, f"at least {power:.0%}", least=power))
    for name, world in (("independent cases", even), ("clustered cases", clustered)):
        worse = replace(world, growth=1.25)
        clusters = planned_for_iterations(worse, power=0.8, seed=seed, metrics=len(METRICS))
        found = run_comparisons(replace(worse, clusters=clusters), comparisons, seed + 4)
        text = f"iterations 25% more, {name}, {clusters * world.size} cases planned for 80%: caught"
        rates.append(_rate(text, found.verdicts[Verdict.WORSE], comparisons, "at least 80%", least=0.8))
    for name, world in (("independent cases", even), ("clustered cases", World(clusters=60))):
        edge = replace(world, drop=SUCCESS.margin)
        found = run_comparisons(edge, comparisons, seed + 2, (SUCCESS,))
        verdicts = found.verdicts
        wrong = verdicts[Verdict.NOT_WORSE] + verdicts[Verdict.BETTER]
        text = f"success worse by exactly the margin, {name}: called not worse"
        rates.append(_rate(text, wrong, comparisons, "at most 2.5%", most=0.025))
    for name, world in (("independent cases", even), ("clustered cases", clustered), ("ten clusters", few)):
        edge = replace(world, growth=1 + ITERATIONS.margin)
        found = run_comparisons(edge, comparisons, seed + 3, (ITERATIONS,))
        verdicts = found.verdicts
        wrong = verdicts[Verdict.NOT_WORSE] + verdicts[Verdict.BETTER]
        text = f"iterations {ITERATIONS.margin:.0%} more, the margin, {name}: called not worse"
        rates.append(_rate(text, wrong, comparisons, "about 2.5%, at most 4%", most=0.04))
    return rates
