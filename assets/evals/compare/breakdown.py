"""Details behind a comparison's effects: flipped cases, success by stratum, and amounts case by case.

For the report only: none of this affects a verdict.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assets.evals.runs.results import RunRecord
from core.statistics import Effect, Interval, wilson

if TYPE_CHECKING:
    import polars

SCATTERED = ("iterations", "code_lines")
"""Metrics that are drawn case by case whatever their role."""
MOST_DOTS = 500


@dataclass(frozen=True)
class Flip:
    """A case that only one of the subjects resolved in at least half of its repeats. `baseline` and `candidate` are
    success rates. Trajectories and patches are of the first repeat, as paths relative to the run's `trajectories`."""

    case: str
    cluster: str
    baseline: float
    candidate: float
    baseline_outcome: str
    candidate_outcome: str
    baseline_trajectory: str | None
    candidate_trajectory: str | None
    baseline_patch: str | None = None
    candidate_patch: str | None = None


@dataclass(frozen=True)
class Stratum:
    """Success rates within one value of a stratum, with Wilson's 95% intervals over cases (not repeats)."""

    name: str
    value: str
    cases: int
    baseline: float
    candidate: float
    baseline_interval: Interval
    candidate_interval: Interval


@dataclass(frozen=True)
class Scatter:
    """One metric as a point (baseline, candidate) per case; every n-th case if there are more than `MOST_DOTS`."""

    metric: str
    unit: str
    cases: int
    points: tuple[tuple[float, float], ...]


def flips(pairs: "polars.DataFrame") -> tuple[tuple[Flip, ...], tuple[Flip, ...]]:
    """The lost cases, and the gained ones."""
    import polars as pl

    def of(frame: "polars.DataFrame") -> tuple[Flip, ...]:
        return tuple(
            Flip(
                row["case"], row["cluster"], row["a success"], row["b success"], row["a outcome"], row["b outcome"],
                row["a trajectory"], row["b trajectory"], row["a patch"], row["b patch"],
            )
            for row in frame.iter_rows(named=True)
        )  # fmt: skip

    had, has = pl.col("a success") >= 0.5, pl.col("b success") >= 0.5
    return of(pairs.filter(had & ~has)), of(pairs.filter(~had & has))


def strata(pairs: "polars.DataFrame") -> tuple[Stratum, ...]:
    """Every value of every stratum, by name and value."""
    groups: dict[tuple[str, str], list[tuple[float, float]]] = {}
    parsed: dict[str, Mapping[str, Any]] = {}
    for text, first, second in zip(
        pairs["strata"].to_list(), pairs["a success"].to_list(), pairs["b success"].to_list(), strict=True
    ):
        if text not in parsed:
            parsed[text] = json.loads(text)
        for name, value in parsed[text].items():
            groups.setdefault((name, str(value)), []).append((first, second))
    found = []
    for (name, value), rates in sorted(groups.items()):
        count, one, other = len(rates), sum(r[0] for r in rates), sum(r[1] for r in rates)
        found.append(
            Stratum(name, value, count, one / count, other / count, wilson(one, count), wilson(other, count))
        )  # fmt: skip
    return tuple(found)


def cost_points(pairs: "polars.DataFrame", *records: RunRecord) -> tuple[tuple[str, float, float], ...]:
    """One point per side: `subject|metric`, mean cost per case (mean seconds if nothing has a cost), success rate."""
    for name in ("cost", "seconds"):
        found = []
        for side, record in zip("ab", records, strict=True):
            value, success = pairs[f"{side} shown {name}"].mean(), pairs[f"{side} success"].mean()
            if isinstance(value, float) and isinstance(success, float):
                found.append((f"{record.subject}|{name}", value, success))
        if len(found) == 2 and any(value for _, value, _ in found):
            return tuple(found)
    return ()


def scatters(pairs: "polars.DataFrame", effects: Sequence[Effect]) -> tuple[Scatter, ...]:
    """The ratio metrics that affect the verdict, and `SCATTERED`, over the cases that have them on both sides."""
    found = []
    for effect in effects:
        metric = effect.metric
        if metric.kind != "ratio" or (metric.role == "info" and metric.name not in SCATTERED):
            continue
        names = [f"a {metric.name}", f"b {metric.name}"]
        having = pairs.select(names).drop_nulls()
        step = -(-having.height // MOST_DOTS) or 1
        points = tuple((float(one), float(other)) for one, other in having.gather_every(step).iter_rows())
        if len(points) > 1 and any(map(any, points)):  # dots at 0 alone say nothing
            found.append(Scatter(metric.name, metric.unit, having.height, points))
    return tuple(found)
