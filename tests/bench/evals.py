"""The eval runner's own cost: overhead on cases of two seconds, trivial cases against inspect-ai, and large reports.

inspect-ai is measured in the same run, from its own environment: set PENSTOCK_INSPECT_PYTHON to a Python
that has it (`uv venv /tmp/inspect && uv pip install --python /tmp/inspect/bin/python inspect-ai`). Otherwise
that row is left out with a message.
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from assets.evals.compare.comparison import compare_runs
from assets.evals.report.formats import parts_of
from assets.evals.report.page import set_html
from assets.evals.report.summary import trend
from assets.evals.runs.query import query
from assets.evals.runs.results import ResultRow
from assets.evals.runs.runner import run_set
from assets.evals.runs.store import ResultStore
from tests.assets.evals.eval_cases import QUICK, plain_set, record_of, scripted

TRIVIAL = 1_000
ROUNDS = 3
INSPECT = """
import json, sys, tempfile, time
from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import includes
from inspect_ai.solver import generate
samples = [Sample(input=f"case {n}", target="yes", id=n) for n in range(int(sys.argv[1]))]

def outputs():
    # With the usage given, the mock need not download a tokenizer to count tokens.
    while True:
        output = ModelOutput.from_content("mockllm/model", "yes")
        output.usage = ModelUsage(input_tokens=3, output_tokens=1, total_tokens=4)
        yield output

for _ in range(int(sys.argv[2])):
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        model = get_model("mockllm/model", custom_outputs=outputs())
        done = eval(Task(dataset=samples, solver=generate(), scorer=includes()), model=model,
                    display="none", log_dir=folder)
        seconds = time.perf_counter() - began
        assert done[0].status == "success", done[0].error
        assert done[0].results.completed_samples == len(samples)
    print(json.dumps(seconds))
"""


def measure() -> list[dict[str, Any]]:
    """Rows as `tests.bench` prints them."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as scratch:
        folder = Path(scratch)
        return [*_trivial(folder), _overhead(folder), *_reports(folder)]


def _row(name: str, value: float, unit: str, against: str, other: float, ratio: float) -> dict[str, Any]:
    return {
        "name": name, "value": round(value, 3), "unit": unit, "against": against, "against_value": round(other, 3),
        "ratio": round(ratio, 3),
    }  # fmt: skip


def _inspect_python() -> str | None:
    named = os.environ.get("PENSTOCK_INSPECT_PYTHON")
    if named:
        return named
    return sys.executable if importlib.util.find_spec("inspect_ai") else None


def _trivial(folder: Path) -> list[dict[str, Any]]:
    """1,000 cases that do almost nothing, alternating between the two runners; the best of a few rounds of each."""
    python = _inspect_python()
    if python is None:
        print("evals: inspect-ai is not measured: set PENSTOCK_INSPECT_PYTHON", file=sys.stderr)  # noqa: T201
        return []
    command = [python, "-c", INSPECT, str(TRIVIAL), str(ROUNDS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=True, cwd=folder)
    theirs = min(float(line) for line in done.stdout.split() if line)
    found = plain_set(folder / "trivial", TRIVIAL)
    ours = min(_run_trivial(ResultStore(folder / f"trivial-{number}"), found) for number in range(ROUNDS))
    name = f"rate of {TRIVIAL:,} trivial cases, results on disk"
    return [_row(name, TRIVIAL / ours, "cases/s", "inspect-ai, mock model", TRIVIAL / theirs, theirs / ours)]


def _run_trivial(store: ResultStore, found: Any) -> float:
    subject = scripted("trivial")
    began = time.perf_counter()
    state = run_set(found, subject, store, record_of(found, subject), limits=QUICK)
    seconds = time.perf_counter() - began
    assert state.complete
    return seconds


def _overhead(folder: Path) -> dict[str, Any]:
    """Wall time of 12 cases of 2 s, two at a time, relative to the time of the cases alone."""
    found, store = plain_set(folder / "slow", 12), ResultStore(folder / "slow-results")
    subject = scripted("slow", seconds=2.0)
    began = time.perf_counter()
    state = run_set(found, subject, store, record_of(found, subject, parallel=2), limits=QUICK)
    seconds, alone = time.perf_counter() - began, 12 * 2.0 / 2
    assert state.complete
    return _row("12 cases of 2 s, two at a time", seconds, "s", "the cases alone", alone, seconds / alone)


def _reports(folder: Path) -> list[dict[str, Any]]:
    """Reports over 100,000 stored results: 18 runs of 2,500, and two of 27,500 (5,500 cases, five repeats)."""
    store = ResultStore(folder / "many")
    small, large = plain_set(folder / "s", 2_500, size=5), plain_set(folder / "l", 5_500, size=5)
    for number in range(18):
        _store(store, small, f"small-{number}", 1, 0.7, number)
    for number, rate in enumerate((0.70, 0.66)):
        _store(store, large, f"large-{number}", 5, rate, number)
    store.settle_all()
    total = query(store, "SELECT count(*) FROM results").rows[0][0]
    assert total == 100_000
    first, second = store.record("large-0"), store.record("large-1")
    timed = {
        "comparison of two runs of 27,500, all formats": lambda: parts_of(compare_runs(store, first, second), store),
        "page of all runs of a set over time": lambda: set_html("toy", trend(store, "toy")),
        "SQL over all results": lambda: query(
            store, "SELECT subject, avg(success::INT), sum(cost) FROM results GROUP BY 1"
        ),
    }
    rows = []
    for name, work in timed.items():
        began = time.perf_counter()
        work()
        seconds = time.perf_counter() - began
        rows.append(_row(f"100,000 results: {name}", seconds, "s", "the limit", 5.0, seconds / 5.0))
    return rows


def _store(store: ResultStore, found: Any, name: str, repeats: int, rate: float, seed: int) -> None:
    """Writes results like a run, without running anything."""
    record = record_of(found, scripted(name), repeats=repeats)
    record = record.model_copy(update={"started": datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=seed)})
    rng = np.random.default_rng(seed)
    with store.journal(record) as journal:
        for case in found.cases:
            for repeat in range(repeats):
                won = bool(rng.random() < rate)
                metrics = {"iterations": float(rng.integers(1, 40)), "cost": float(rng.random()), "seconds": 2.0}
                journal.append(
                    ResultRow(
                        case.id, repeat, case.cluster, dict(case.strata), case.split,
                        "correct" if won else "unresolved", won, metrics, 1, "2026-01-01T00:00:00.000+00:00",
                    )
                )  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))  # noqa: T201
