"""Summarises single runs: success with its interval, mean metrics, outcomes and flaky cases.

Not for deciding whether two runs differ, which `compare` does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assets.evals.runs.results import METRICS, RunRecord
from assets.evals.runs.store import ResultStore
from assets.evals.runs.subject import CaseOutcome
from core.statistics import Interval, design_effect, kish_size, wilson

if TYPE_CHECKING:
    import polars

ASSUMED_CORRELATION = 0.1
"""Of the successes within a cluster, for the interval."""


@dataclass(frozen=True)
class RunSummary:
    """Counts and means of a run. `success` is the mean over cases; its 95% interval is wider for clustered cases."""

    record: RunRecord
    results: int
    infrastructure: int
    not_runnable: int
    cases: int
    success: float | None
    interval: Interval | None
    means: dict[str, float]
    outcomes: dict[str, int]
    flaky: tuple[str, ...]

    @property
    def complete(self) -> bool:
        return self.results - self.infrastructure >= self.record.cases * self.record.repeats


def summarise(store: ResultStore, record: RunRecord) -> RunSummary:
    """Summarises a run's stored rows. Without any usable result, `success` and `interval` are None."""
    import polars as pl

    rows = store.load(record)
    learnt = rows.drop_nulls("success").with_columns(pl.col("success").cast(pl.Float64))
    cases = learnt.group_by("case").agg(pl.col("success").mean(), pl.col("success").n_unique().alias("ends"))
    outcomes = rows.group_by("outcome").len().sort("outcome")
    absent = rows.filter(pl.col("outcome") == str(CaseOutcome.NOT_RUNNABLE)).height
    rate, interval = None, None
    if cases.height:
        rate = float(cases["success"].sum()) / cases.height
        sizes = learnt.group_by("cluster").agg(pl.col("case").n_unique())["case"].to_numpy().astype(float)
        worth = cases.height / design_effect(max(1.0, kish_size(sizes)), ASSUMED_CORRELATION)
        interval = wilson(rate * worth, worth)
    return RunSummary(
        record=record,
        results=rows.height,
        infrastructure=int(rows["success"].null_count()) - absent,
        not_runnable=absent,
        cases=cases.height,
        success=rate,
        interval=interval,
        means=_means(learnt),
        outcomes=dict(outcomes.iter_rows()),
        flaky=tuple(sorted(cases.filter(pl.col("ends") > 1)["case"].to_list())),
    )


def _means(rows: "polars.DataFrame") -> dict[str, float]:
    found = {name: rows[name].mean() for name in METRICS}
    return {name: value for name, value in found.items() if isinstance(value, float)}


def trend(store: ResultStore, set_name: str) -> list[RunSummary]:
    """Every run of a set, oldest first."""
    return [summarise(store, record) for record in store.runs() if record.set_name == set_name]


def versions(found: Sequence[RunSummary]) -> list[str]:
    """The versions of the set that occur, in order of appearance.

    Sets with the same name and version but different content, as two folders may hold, are distinguished by their hash.
    """
    hashes: dict[str, set[str]] = {}
    for one in found:
        hashes.setdefault(one.record.set_version, set()).add(one.record.set_sha256)
    return list(dict.fromkeys(version_of(one, clash=len(hashes[one.record.set_version]) > 1) for one in found))


def version_of(one: RunSummary, *, clash: bool) -> str:
    """The set's version, with the first digits of its hash if the version alone is ambiguous (`clash`)."""
    return f"{one.record.set_version} {one.record.set_sha256[:8]}" if clash else one.record.set_version
