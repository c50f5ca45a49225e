"""Measures the migration gate's error rates on simulated migrations whose truth is known; not about any real model.

A/A migrations count false alarms, planted losses count detections at the planned number of queries, and losses of
exactly the margin count false assurances. Queries about one file are correlated on purpose: where the models rank a
file differently, they do so for all its queries.
"""

import math
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from assets.migrations.gate.judge import SAFE, PairedAnswer, decide
from assets.migrations.gate.queries import JudgedQuery
from assets.shared import ranking_metrics as metrics
from core.statistics import PairedData, Verdict, cases_for_mean, clopper_pearson

K, MARGIN, LOSS, POWER = 10, 0.03, 0.05, 0.8
SIZE = 2
"""Queries about one file."""
_TEAM = uuid.UUID(int=0)
_FOUND, _ALIKE = 0.25, 0.7
_PILOT_FILES = 3000
_DRAWS = 200
_JUDGED = 2
"""The number of deciding metrics, by which Holm's correction divides the first one's significance level."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How often an outcome occurred, with Clopper and Pearson's 95% interval, and the stated bound.

    `holds` is false only if the whole interval is on the wrong side of `bound`.
    """

    name: str
    count: int
    migrations: int
    rate: float
    low: float
    high: float
    bound: float
    at_most: bool

    @property
    def holds(self) -> bool:
        return self.low <= self.bound if self.at_most else self.high >= self.bound


@dataclass(frozen=True, slots=True)
class Calibration:
    """Rates of simulated migrations, each with `queries` queries: planned for `POWER` from a pilot's spread."""

    migrations: int
    queries: int
    loss: float
    margin: float
    rates: tuple[Rate, ...]

    @property
    def holds(self) -> bool:
        return all(rate.holds for rate in self.rates)

    def as_dict(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "rates": [{**asdict(rate), "holds": rate.holds} for rate in self.rates],
            "holds": self.holds,
        }


def calibrate(
    migrations: int = 500, *, loss: float = LOSS, margin: float = MARGIN, seed: int = 0,
    tell: Callable[[str], None] = lambda text: None,
) -> Calibration:  # fmt: skip
    """Simulates `migrations` of each kind. Raises `ValueError` for a loss or margin outside (0, 0.5)."""
    if not (0 < loss < 0.5 and 0 < margin < 0.5 and migrations > 0):
        raise ValueError(f"a loss of {loss}, a margin of {margin} and {migrations} migrations show nothing")
    pilot = simulated(np.random.default_rng(seed), _PILOT_FILES, 0.0)
    found, recalled = _mean(pilot, metrics.ndcg), _mean(pilot, metrics.recall)
    queries = planned_queries(loss, found, seed)
    files = -(-queries // SIZE)

    def verdicts(missed: float, first: int, name: str) -> list[Verdict]:
        tell(f"{migrations} migrations: {name}")
        return [
            decide(simulated(np.random.default_rng([seed, first, n]), files, missed), k=K, margin=margin, seed=n,
                   draws=_DRAWS)[1]
            for n in range(migrations)
        ]  # fmt: skip

    alike = verdicts(0.0, 1, "equal models")
    worse = verdicts(loss / found, 2, f"a loss of {loss:g} nDCG")
    edge = verdicts(margin / recalled, 3, f"a loss of {margin:g} recall, the margin")

    def rate(name: str, count: int, bound: float, at_most: bool) -> Rate:
        span = clopper_pearson(count, migrations)
        return Rate(name, count, migrations, count / migrations, span.low, span.high, bound, at_most)

    return Calibration(
        migrations,
        files * SIZE,
        loss,
        margin,
        (
            rate("equal models called worse", alike.count(Verdict.WORSE), 0.025, True),
            rate("equal models called better", alike.count(Verdict.BETTER), 0.025, True),
            rate("a planted loss called worse", worse.count(Verdict.WORSE), POWER, False),
            rate("a planted loss let through", sum(one in SAFE for one in worse), 0.025, True),
            rate("a loss of the margin let through", sum(one in SAFE for one in edge), 0.025, True),
        ),
    )


def planned_queries(loss: float, found: float, seed: int = 0) -> int:
    """The number of queries that detect a loss of nDCG with power `POWER`, given clusters and two metrics.

    `found` is both models' nDCG without the loss.
    """
    pilot = simulated(np.random.default_rng([seed, 9]), _PILOT_FILES, loss / found)
    data = PairedData.of(
        _scores(pilot, "old"), _scores(pilot, "new"), [one.query.cluster for one in pilot if one.query]
    )
    deviation = float(np.std(data.difference))
    design = max(1.0, data.mean_variance * data.cases / deviation**2)
    return cases_for_mean(loss, deviation, alpha=0.05 / _JUDGED, power=POWER, effect=design, size=SIZE)


def simulated(rng: np.random.Generator, files: int, missed: float) -> list[PairedAnswer]:
    """Answers of two models to `SIZE` queries about each file; the new one misses a further share `missed`."""
    count = files * SIZE
    old = np.minimum(rng.geometric(_FOUND, count) - 1, K)
    again = np.minimum(rng.geometric(_FOUND, count) - 1, K)
    alike = np.repeat(rng.random(files) < _ALIKE, SIZE)
    new = np.where(rng.random(count) < missed, K, np.where(alike, old, again))
    return [
        PairedAnswer(
            _TEAM, "simulated", "", _listed(int(one)), _listed(int(other)), 1.0, 1.0,
            JudgedQuery(_TEAM, "simulated", "", ("right",), f"file {place // SIZE}", ""),
        )
        for place, (one, other) in enumerate(zip(old, new, strict=True))
    ]  # fmt: skip


_WRONG = tuple(f"wrong {place}" for place in range(K))


def _listed(place: int) -> tuple[str, ...]:
    """`K` files with the right one at `place`, or without it if `place` is `K`."""
    return (*_WRONG[:place], "right", *_WRONG[place + 1 :]) if place < K else _WRONG


def _scores(answers: list[PairedAnswer], side: str) -> list[float]:
    return [metrics.ndcg(getattr(answer, side), ("right",), K) for answer in answers]


def _mean(answers: list[PairedAnswer], measure: Callable[[tuple[str, ...], tuple[str, ...], int], float]) -> float:
    return math.fsum(measure(answer.new, ("right",), K) for answer in answers) / len(answers)
