"""Results of a run by language or family."""

from typing import Any

from assets.evals.report.by_stratum import StratumResult, by_stratum
from assets.evals.runs.results import ResultRow
from assets.evals.runs.subject import CaseOutcome


def row(case: str, outcome: CaseOutcome, success: bool | None, language: str | None, **more: Any) -> ResultRow:
    strata = {"family": "call"} if language is None else {"family": "call", "language": language}
    metrics = more.pop("metrics", {"iterations": 10.0, "seconds": 4.0})
    return ResultRow(case, 0, "c", strata, "dev", str(outcome), success, metrics, 1, "now", **more)


ROWS = [
    row("a", CaseOutcome.CORRECT, True, "go", patch="a/patch.diff"),
    row("b", CaseOutcome.WRONG, False, "go", patch="b/patch.diff", metrics={"iterations": 5.0, "seconds": 1.0}),
    row("c", CaseOutcome.UNRESOLVED, True, "go"),
    row("d", CaseOutcome.NOT_RUNNABLE, None, "javascript", metrics={}),
    row("e", CaseOutcome.INFRASTRUCTURE, None, "go", metrics={}),
    row("f", CaseOutcome.UNRESOLVED, False, None),
]


def test_what_says_nothing_about_the_subject_is_not_counted() -> None:
    assert by_stratum(ROWS, "language") == (StratumResult("go", 3, 2, 2, 1, 25, 4.0),)


def test_rows_of_a_version_without_the_stratum_stay_in_the_others() -> None:
    (found,) = by_stratum(ROWS, "family")
    assert (found.cases, found.resolved, found.patches) == (4, 2, 2)
    assert by_stratum(ROWS, "colour") == ()
