"""What evals need from around them, as Dagster's resource `eval_bench`.

Which subjects there are is told from outside, since a subject joins stages that do not know each other.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .runs.results import RunRecord
from .runs.store import ResultStore
from .runs.subject import Subject
from .sets.eval_set import EvalSet, load_set


@dataclass(frozen=True)
class EvalBench:
    """What evals need from around them: where results lie, how sets and subjects are found, and the code's commit."""

    store: ResultStore
    find_set: Callable[[str], Path]
    open_subject: Callable[[str], Subject]
    code_commit: Callable[[], str]
    gone_since: Callable[[RunRecord], list[str]] = lambda record: []
    """What of a run's subject is not here any more as it was tested."""
    who: Callable[[], str] = lambda: "unknown"

    def present_set(self, record: RunRecord) -> EvalSet | None:
        """The set of a run as it is now; None if it is gone or cannot be read."""
        try:
            return load_set(self.find_set(record.set_name))
        except ValueError:
            return None
