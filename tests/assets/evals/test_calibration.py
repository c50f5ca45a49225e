"""The verdict's error rates are as promised, on fewer simulated comparisons than `penstock eval calibrate` runs."""

import numpy as np
import pytest

from assets.evals.compare.calibration import (
    METRICS,
    SUCCESS,
    World,
    pilot,
    planned,
    planned_for_iterations,
    run_comparisons,
    simulate,
)
from core.statistics import Verdict, clopper_pearson

RUNS = 120


@pytest.mark.parametrize(
    "world", [World(clusters=100, size=1, cluster_spread=0.0), World()], ids=["single", "clusters"]
)
def test_equal_subjects_raise_false_alarms_at_most_at_the_nominal_rate(world: World) -> None:
    verdicts = run_comparisons(world, RUNS, seed=1).verdicts
    alarms = verdicts[Verdict.WORSE] + verdicts[Verdict.BETTER]
    assert clopper_pearson(alarms, RUNS).low <= 0.05
    assert alarms <= 0.12 * RUNS


def test_ignoring_clusters_would_raise_more_false_alarms_than_promised() -> None:
    world = World(clusters=20, size=12, cluster_spread=2.0)
    found = run_comparisons(world, RUNS, seed=1, metrics=(SUCCESS,))
    assert clopper_pearson(found.naive, RUNS).low > 0.05
    assert clopper_pearson(found.verdicts[Verdict.WORSE], RUNS).low <= 0.025


def test_a_planted_regression_leaves_clusters_independent_of_each_other() -> None:
    """The variance of means between samples equals that estimated from one sample's clusters; planning relies on it."""
    world, rng = World(drop=0.15), np.random.default_rng(3)
    drawn = [simulate(world, rng)["success"] for _ in range(1_500)]
    means = np.array([data.difference.mean() for data in drawn])
    assert means.mean() == pytest.approx(-0.15, abs=0.005)
    assert means.var() / np.mean([data.mean_variance for data in drawn]) == pytest.approx(1.0, abs=0.1)


def test_a_planted_regression_is_caught_with_the_planned_power() -> None:
    world = World(clusters=20, size=4, cluster_spread=0.6, drop=0.15)
    discordant, correlation = pilot(world, seed=3, comparisons=100)
    clusters = planned(world, power=0.9, discordant=discordant, correlation=correlation, metrics=len(METRICS))
    found = run_comparisons(World(clusters, 4, cluster_spread=0.6, drop=0.15), RUNS, seed=2)
    caught = found.verdicts[Verdict.WORSE]
    assert clopper_pearson(caught, RUNS).high >= 0.9
    assert caught >= 0.8 * RUNS


def test_more_iterations_are_caught_with_the_planned_power() -> None:
    world = World(size=4, cluster_spread=0.6, growth=1.3)
    clusters = planned_for_iterations(world, power=0.9, seed=3, metrics=len(METRICS), comparisons=60)
    caught = run_comparisons(World(clusters, 4, cluster_spread=0.6, growth=1.3), RUNS, 2).verdicts[Verdict.WORSE]
    assert clopper_pearson(caught, RUNS).high >= 0.9
    assert caught >= 0.8 * RUNS


def test_a_regression_of_exactly_the_margin_is_seldom_called_not_worse() -> None:
    found = run_comparisons(World(clusters=60, size=3, cluster_spread=0.6, drop=SUCCESS.margin), RUNS, 4, (SUCCESS,))
    verdicts = found.verdicts
    assert clopper_pearson(verdicts[Verdict.NOT_WORSE] + verdicts[Verdict.BETTER], RUNS).low <= 0.025
