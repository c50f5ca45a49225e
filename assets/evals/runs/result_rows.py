"""From what a subject did, or failed to do, to the row that is stored."""

import os
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from .results import ResultRow
from .subject import Attempt, CaseOutcome, CaseResult

SUMMARY = 500


def result_row(attempt: Attempt, found: CaseResult, seconds: float, tries: int) -> ResultRow:
    case = attempt.case
    metrics = {"seconds": round(seconds, 6), **{name: float(value) for name, value in found.metrics.items()}}
    wrong = sorted(name for name, value in metrics.items() if not np.isfinite(value))
    if wrong:
        return replace(
            lost_row(attempt, CaseOutcome.ERROR, f"{', '.join(wrong)} is no finite number", tries), success=False
        )
    return ResultRow(
        case=case.id,
        repeat=attempt.repeat,
        cluster=case.cluster,
        strata=dict(case.strata),
        split=case.split,
        outcome=str(found.outcome),
        success=found.success,
        metrics=metrics,
        tries=tries,
        ended=datetime.now(UTC).isoformat(timespec="milliseconds"),
        summary=found.summary[:SUMMARY],
        trajectory=f"{case.id}-{attempt.repeat}/{found.trajectory}" if found.trajectory else None,
        patch=f"{case.id}-{attempt.repeat}/{found.patch}" if found.patch else None,
        load=machine_load(),
    )


def machine_load() -> float:
    """Processes that want a core, a core each, over the last minute."""
    return round(os.getloadavg()[0] / (os.cpu_count() or 1), 2)


def lost_row(attempt: Attempt, outcome: CaseOutcome, said: str, tries: int) -> ResultRow:
    return ResultRow(
        case=attempt.case.id,
        repeat=attempt.repeat,
        cluster=attempt.case.cluster,
        strata=dict(attempt.case.strata),
        split=attempt.case.split,
        outcome=str(outcome),
        success=None,
        metrics={},
        tries=tries,
        ended=datetime.now(UTC).isoformat(timespec="milliseconds"),
        summary=said[:SUMMARY],
    )
