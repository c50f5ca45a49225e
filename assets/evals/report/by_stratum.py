"""Results of one run by the values of a stratum: how many cases, what was published and right, and at what cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from assets.evals.runs.results import ResultRow
from assets.evals.runs.subject import CaseOutcome


@dataclass(frozen=True)
class StratumResult:
    """Results, each repeat counted. `patches` is how many had a patch that the subject took for right, `correct` how
    many of these were; `resolved` also counts cases that were rightly left alone. `candidates` is the sum of what was
    tried, `seconds` the median. Results that say nothing about the subject are not counted."""

    value: str
    cases: int
    resolved: int
    patches: int
    correct: int
    candidates: int
    seconds: float


def by_stratum(rows: Sequence[ResultRow], name: str) -> tuple[StratumResult, ...]:
    """The results by the values of a stratum; rows without it, as of an older version of a set, are left out."""
    groups: dict[str, list[ResultRow]] = {}
    for row in rows:
        if row.success is not None and name in row.strata:
            groups.setdefault(str(row.strata[name]), []).append(row)
    return tuple(_result(value, group) for value, group in sorted(groups.items()))


def _result(value: str, rows: Sequence[ResultRow]) -> StratumResult:
    return StratumResult(
        value,
        len(rows),
        sum(row.success is True for row in rows),
        sum(row.patch is not None for row in rows),
        sum(row.outcome == CaseOutcome.CORRECT for row in rows),
        int(sum(row.metrics.get("iterations", 0.0) for row in rows)),
        median(row.metrics.get("seconds", 0.0) for row in rows),
    )
