"""What the eval assets need from the rest of the program, as the Dagster resource `eval_bench`.

Subjects come from outside, since a subject joins stages that must not import each other.
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
    """The store of results, and functions that find a set by name, open a subject, and return the code's commit."""

    store: ResultStore
    find_set: Callable[[str], Path]
    open_subject: Callable[[str], Subject]
    code_commit: Callable[[], str]
    gone_since: Callable[[RunRecord], list[str]] = lambda record: []
    """Lists what changed in a run's subject since the run (`promotion.StillThere`)."""
    who: Callable[[], str] = lambda: "unknown"
    """Returns the user's name, for the record of promotions."""

    def present_set(self, record: RunRecord) -> EvalSet | None:
        """The set of a run in its present version; None if it is missing or cannot be read."""
        try:
            return load_set(self.find_set(record.set_name))
        except ValueError:
            return None
