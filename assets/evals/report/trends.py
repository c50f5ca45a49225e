"""A set's runs over time as lines, one per subject and version of the set, each with the drift of its newest run.

For display, like `summary`; `drift` decides whether the newest run is worse than the one before.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from assets.evals.compare.drift import Drift, find_drift
from assets.evals.runs.store import ResultStore

from .summary import RunSummary, trend

BARS = "▁▂▃▄▅▆▇█"
MODEL_FIELD = {"model": "model", "hybrid": "model", "retrieval": "embedding_model"}
"""The field of a subject's identity that names its model, by engine; other engines have no model under test."""


@dataclass(frozen=True)
class Line:
    """The runs of one subject over one version of a set, oldest first. `drift` is that of the newest run."""

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
        """Success as one bar per run, and a dot for a run without a usable result."""
        return sparkline([one.success for one in self.runs])


def sparkline(rates: Sequence[float | None], most: int = 30) -> str:
    """The last `most` rates, each from 0 to 1, as bars."""
    shown = rates[-most:]
    return "".join("·" if rate is None else BARS[min(len(BARS) - 1, int(rate * len(BARS)))] for rate in shown)


def lines(store: ResultStore, set_name: str) -> list[Line]:
    """The lines of a set, ordered by their newest run; the most recent is last."""
    groups: dict[tuple[str, str], list[RunSummary]] = {}
    for one in trend(store, set_name):
        groups.setdefault((one.record.subject, one.record.set_version), []).append(one)
    ordered = sorted(groups.values(), key=lambda runs: runs[-1].record.started)
    return [_line(store, runs) for runs in ordered]


def _line(store: ResultStore, runs: list[RunSummary]) -> Line:
    newest = runs[-1].record
    model = newest.identity.get(MODEL_FIELD.get(newest.identity.get("engine", ""), ""), "")
    return Line(newest.subject, newest.set_version, model, tuple(runs), find_drift(store, newest))
