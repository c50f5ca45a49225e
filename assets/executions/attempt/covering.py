"""Measures what failing tests and passing ones beside them execute, where the baseline does not: not in Python."""

from collections.abc import Sequence
from typing import Any

from assets.executions.attempt.state import AttemptState
from assets.executions.engines.protocol import Coverage
from assets.executions.trial.baseline import Baseline
from assets.executions.trial.worker_client import Worker, WorkerDied
from core.work import Outcome

_FAILING, _PASSING = 3, 10
_SHARE = 0.12
"""Of the budget's time."""
_LEAST_SECONDS = 2.0


def coverage(attempt: AttemptState, worker: Worker, baseline: Baseline, targets: Sequence[str]) -> Coverage | None:
    """What the first targets execute, and passing tests of the same files or packages; None when nothing is known."""
    seconds = min(_SHARE * attempt.budget.seconds, attempt.left / 4)
    if seconds < _LEAST_SECONDS:
        return None
    began = attempt.journal.now()
    failing = [test for test in targets if "::(" not in test][:_FAILING]
    passing = _beside(baseline, failing)

    def run() -> Coverage | str:
        try:
            lines = worker.ask("cover", seconds, tests=[*failing, *passing], seconds=seconds)["lines"]
        except WorkerDied as died:
            return f"not measured: {died}"[:400]
        return Coverage(
            tuple(one for one in lines[: len(failing)] if one), tuple(one for one in lines[len(failing) :] if one)
        )

    found = attempt.journal.perform(
        "cover",
        {"failing": failing, "passing": len(passing), "seconds": round(seconds, 1)},
        [failing, passing],
        run,
        encode=_encode,
        decode=_decode,
    )
    if isinstance(found, str):
        attempt.record("observed", {"coverage": found})
        return None
    attempt.record("observed", {"coverage": {"failing": len(found.failing), "passing": len(found.passing)}})
    attempt.findings.spent("coverage", began)
    return found if found.failing else None


def _encode(found: Coverage | str) -> Any:
    if isinstance(found, str):
        return found
    groups = (found.failing, found.passing)
    return [[{path: sorted(lines) for path, lines in one.items()} for one in group] for group in groups]


def _decode(raw: Any) -> Coverage | str:
    if isinstance(raw, str):
        return raw
    failing, passing = (
        tuple({path: frozenset(lines) for path, lines in one.items()} for one in group) for group in raw
    )
    return Coverage(failing, passing)


def _beside(baseline: Baseline, failing: Sequence[str]) -> list[str]:
    """Passing tests of the files or, if there are none, the folders of the failing ones, in the order of the suite."""
    passing = [test for test, outcome in baseline.run.outcomes.items()
               if outcome is Outcome.PASSED and "::(" not in test and test not in baseline.commands]  # fmt: skip
    places = {test.split("::")[0] for test in failing}
    folders = {place.rpartition("/")[0] for place in places}
    first = [test for test in passing if test.split("::")[0] in places]
    others = [test for test in passing if test not in first and test.split("::")[0].rpartition("/")[0] in folders]
    return [*first, *others][:_PASSING]
