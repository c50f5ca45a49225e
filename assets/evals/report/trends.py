"""A set's runs over time as lines, one a subject and version of the set: success, iterations, size of code, drift.

For a look, as `summary` is. Whether the newest run of a line is worse than the one before it is asked of
`drift`, since that is what must not go unseen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from assets.evals.compare.drift import Drift, find_drift
from assets.evals.runs.store import ResultStore

from .summary import RunSummary, trend

BARS = "▁▂▃▄▅▆▇█"
MODEL_FIELD = {"model": "model", "retrieval": "embedding_model"}
"""What the model of a subject is, by its engine; the others have none under test."""


@dataclass(frozen=True)
class Line:
    """The runs of one subject over one version of a set, oldest first. `drift` is that of the newest."""

    subject: str
    set_version: str
    model: str
    runs: tuple[RunSummary, ...]
    drift: Drift

    @property
    def newest(self) -> RunSummary:
        return self.runs[-1]

    @property
    def sparkline(self) -> str:
        """Success from none to all, a bar a run; a dot where nothing was learnt."""
        return sparkline([one.success for one in self.runs])


def sparkline(rates: Sequence[float | None], most: int = 30) -> str:
    """The last `most` rates from 0 to 1 as bars."""
    shown = rates[-most:]
    return "".join("·" if rate is None else BARS[min(len(BARS) - 1, int(rate * len(BARS)))] for rate in shown)


def lines(store: ResultStore, set_name: str) -> list[Line]:
    """The lines of a set, the one with the newest run last."""
    groups: dict[tuple[str, str], list[RunSummary]] = {}
    for one in trend(store, set_name):
        groups.setdefault((one.record.subject, one.record.set_version), []).append(one)
    ordered = sorted(groups.values(), key=lambda runs: runs[-1].record.started)
    return [_line(store, runs) for runs in ordered]


def _line(store: ResultStore, runs: list[RunSummary]) -> Line:
    newest = runs[-1].record
    model = newest.identity.get(MODEL_FIELD.get(newest.identity.get("engine", ""), ""), "")
    return Line(newest.subject, newest.set_version, model, tuple(runs), find_drift(store, newest))
