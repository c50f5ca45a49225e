"""Small sets and runs for tests of evals."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from assets.evals.runs.results import RunRecord
from assets.evals.runs.runner import RunLimits, RunState, new_record, run_set
from assets.evals.runs.scripted import Quality, ScriptedSubject
from assets.evals.runs.store import ResultStore
from assets.evals.runs.subject import Subject
from assets.evals.sets.eval_set import EvalSet, load_set, seal

QUICK = RunLimits(pause_seconds=0.0)
METRICS = [
    {"name": "success", "kind": "rate", "better": "higher", "margin": 0.1, "role": "primary"},
    {"name": "iterations", "kind": "ratio", "better": "lower", "margin": 0.25},
    {"name": "cost", "kind": "ratio", "better": "lower", "margin": 0.25, "role": "info"},
]


def plain_set(
    root: Path, cases: int = 60, *, size: int = 3, metrics: Sequence[dict[str, Any]] = METRICS, version: str = "1.0.0"
) -> EvalSet:
    """A sealed set with clusters of `size` cases and a range of difficulties."""
    root.mkdir(parents=True, exist_ok=True)
    manifest = {"name": "toy", "kind": "plain", "title": "Toy", "licence": "Apache-2.0", "origin": "made up"}
    (root / "set.json").write_text(json.dumps({**manifest, "splits": ["main"], "metrics": list(metrics)}))
    (root / "version").write_text(f"{version}\n")
    (root / "card.md").write_text("# Toy\n")
    hardness = np.random.default_rng(5).normal(0, 1, cases)
    with (root / "cases.jsonl").open("w") as file:
        for number in range(cases):
            strata = {"family": ("call", "data", "<b>text</b>")[number % 3]}
            given = {"n": number, "difficulty": round(float(hardness[number]), 2)}
            line = {"id": f"case-{number:03}", "split": "main", "cluster": f"project-{number // size}"}
            file.write(json.dumps({**line, "strata": strata, "input": given}) + "\n")
    seal(root)
    return load_set(root)


def scripted(name: str, **quality: Any) -> ScriptedSubject:
    return ScriptedSubject(Quality(**quality), name)


def record_of(found: EvalSet, subject: Subject, run: str | None = None, **changes: Any) -> RunRecord:
    inputs = {"repeats": 1, "seed": 0, "parallel": 1, "limits": QUICK, "code_commit": "abc"} | changes
    return new_record(found, "all", subject, run=run or subject.name, **inputs)


def run_it(store: ResultStore, found: EvalSet, subject: Subject, run: str | None = None, **changes: Any) -> RunRecord:
    """Runs a subject over the whole set."""
    record = record_of(found, subject, run, **changes)
    state: RunState = run_set(found, subject, store, record, limits=changes.get("limits", QUICK))
    assert state.complete, state
    return record
