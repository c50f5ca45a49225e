"""Stopping early: looking after every cluster must not raise the rate of errors."""

import numpy as np
import pytest

from core.statistics import SequentialTest, clopper_pearson
from core.statistics.sequential import Stop


def _first_stop(draw: np.ndarray[tuple[int], np.dtype[np.float64]], margin: float) -> Stop | None:
    test = SequentialTest(margin)
    return next((stop for value in draw if (stop := test.add(float(value))) is not None), None)


def _stops(chance_worse: float, chance_better: float, runs: int, length: int, margin: float = 0.1) -> list[Stop | None]:
    rng = np.random.default_rng(11)
    chances = [chance_worse, 1 - chance_worse - chance_better, chance_better]
    return [_first_stop(rng.choice([-1.0, 0.0, 1.0], size=length, p=chances), margin) for _ in range(runs)]


def test_looking_after_every_cluster_raises_no_more_false_alarms_than_promised() -> None:
    stops = _stops(0.2, 0.2, runs=200, length=250)
    alarms = sum(stop in (Stop.WORSE, Stop.BETTER) for stop in stops)
    assert clopper_pearson(alarms, len(stops)).low <= 0.05
    assert clopper_pearson(alarms, len(stops)).high < 0.10


def test_exactly_as_bad_as_the_margin_is_seldom_called_not_worse() -> None:
    stops = _stops(0.3, 0.2, runs=200, length=250)
    assert clopper_pearson(sum(stop is Stop.NOT_WORSE for stop in stops), len(stops)).low <= 0.025


def test_a_large_regression_stops_the_run_early() -> None:
    rng = np.random.default_rng(2)
    test = SequentialTest(0.1)
    values = rng.choice([-1.0, 0.0], size=500, p=[0.4, 0.6])
    assert next(stop for value in values if (stop := test.add(float(value)))) is Stop.WORSE
    assert test.seen < 60


def test_equal_subjects_are_found_not_worse_in_the_end() -> None:
    assert _first_stop(np.zeros(500), 0.1) is Stop.NOT_WORSE


def test_a_number_that_is_not_a_difference_of_rates_is_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        SequentialTest(0.0)
    with pytest.raises(ValueError, match=r"is in \[-1, 1\]"):
        SequentialTest(0.1).add(1.5)
