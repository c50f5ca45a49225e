"""Stores the reports of comparisons: one folder per pair of runs, in `reports/` next to the results."""

from pathlib import Path

from assets.evals.compare.comparison import Comparison
from assets.evals.runs.store import ResultStore, write_whole

from .formats import parts_of


def report_folder(store: ResultStore, baseline: str, candidate: str) -> Path:
    return store.root / "reports" / f"{baseline}..{candidate}"


def write_report(store: ResultStore, found: Comparison) -> Path:
    """Writes every file of the report, replacing those of an earlier call, and returns its folder."""
    folder = report_folder(store, found.baseline.record.run, found.candidate.record.run)
    for name, content in parts_of(found, store).items():
        write_whole(folder / name, content.encode())
    return folder
