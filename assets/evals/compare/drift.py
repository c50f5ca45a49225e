"""Detects whether an unchanged subject became worse, by comparing its newest run with the one before.

Possible causes are changes that the subject's versions do not show: the server behind a model's name, the machine, or
this program's own code.
"""

from dataclasses import dataclass

from assets.evals.report.summary import summarise
from assets.evals.runs.results import RunRecord
from assets.evals.runs.store import ResultStore
from core.health.eval_status import EvalStatus, keep_status
from core.statistics import Verdict

from .comparison import Comparison, compare_runs

_SAME = ("set_sha256", "split", "subject", "identity_digest", "repeats", "seed")


@dataclass(frozen=True)
class Drift:
    """`before` is the earlier run and `comparison` the comparison with it; both are None without an earlier run."""

    before: RunRecord | None
    comparison: Comparison | None

    @property
    def drifted(self) -> bool | None:
        """Whether the verdict is `worse`; None if there is no earlier run."""
        return None if self.comparison is None else self.comparison.verdict is Verdict.WORSE

    @property
    def sentence(self) -> str:
        return self.comparison.sentence if self.comparison else "There is no earlier run."


def find_drift(store: ResultStore, record: RunRecord) -> Drift:
    """Compares a run with the newest earlier run of the same set, split, subject, versions, repeats and seed."""
    same = tuple(getattr(record, name) for name in _SAME)
    before = [
        one for one in store.runs()
        if one.started < record.started and tuple(getattr(one, name) for name in _SAME) == same
    ]  # fmt: skip
    return Drift(before[-1], compare_runs(store, before[-1], record)) if before else Drift(None, None)


def note_status(store: ResultStore, record: RunRecord, drift: Drift) -> EvalStatus:
    """Stores the status of a finished run next to the results, where the gateway's metrics read it."""
    status = EvalStatus(
        set_name=record.set_name,
        subject=record.subject,
        run=record.run,
        at=record.started,
        success=summarise(store, record).success,
        drifted=drift.drifted,
        said=drift.sentence,
        verdict=drift.comparison.verdict.value if drift.comparison else None,
    )
    keep_status(store.root, status)
    return status
