"""The repair engine over a set of cases, judged by held-back tests: `python -m tests.bench.repair --split dev`.

Solves each case as `penstock solve` does, one at a time and without servers, then runs tests that the
engine never saw. Prints a line per case and totals, and writes everything as JSON.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from assets.evals.sets.repair import RepairCase, checkout, judge_patch, load_cases
from assets.evals.sets.set_files import EvalSetError
from assets.evals.sets.suite_runs import why_not_runnable
from assets.executions.engines.open_engine import EngineChoice
from core.work import Budget
from dagster_project.subjects.repair import solve_case
from sandbox.protocol import Sandbox

ROOT = Path(__file__).parents[2]
SET = ROOT / "eval_sets" / "repair"
CORRECT, PLAUSIBLE, UNRESOLVED, FAILED = "correct", "plausible-but-wrong", "unresolved", "failed"
NOT_RUNNABLE = "not-runnable"


@dataclass(frozen=True)
class Row:
    """One case's result. `outcome` is `correct`, `plausible-but-wrong`, `unresolved`, `failed` (the solver broke)
    or `not-runnable` (this machine lacks the case's language)."""

    case: str
    language: str
    bug_class: str
    family: str
    split: str
    cluster: str
    expected: str
    outcome: str
    verdict: str
    candidates: int
    seconds: float
    operator: str | None
    summary: str
    patch: str | None
    timings: dict[str, float]

    @property
    def as_expected(self) -> bool:
        return self.outcome == (CORRECT if self.expected == "resolved" else UNRESOLVED)


def solve(case: RepairCase, sandbox: Sandbox, budget_seconds: float, engine: str) -> tuple[Any, Any]:
    """The execution and the gate's verdict for one case."""
    with checkout(case) as root:
        solution = solve_case(case, root, EngineChoice(engine), sandbox, Budget(seconds=budget_seconds))
    return solution.execution, solution.verdict


def run_case(case: RepairCase, sandbox: Sandbox, budget_seconds: float, engine: str) -> Row:
    began = time.monotonic()
    fields = case.fields
    known = (case.id, fields.language, fields.bug_class, fields.family, fields.split, fields.cluster, fields.expected)
    if (lacking := why_not_runnable(fields.language, case.repo)) is not None:
        return Row(*known, NOT_RUNNABLE, "none", 0, 0.0, None, lacking, None, {})
    try:
        execution, verdict = solve(case, sandbox, budget_seconds, engine)
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        return Row(*known, FAILED, "none", 0, round(time.monotonic() - began, 2), None, why, None, {})
    seconds = round(time.monotonic() - began, 2)
    # A suite that could not be run is a fault of the sandbox or the case, not of the engine.
    outcome, patch = (FAILED if execution.evidence.before is None else UNRESOLVED), None
    if execution.patch is not None and verdict.verdict != "fail":
        patch = execution.patch.diff
        outcome = CORRECT if judge_patch(case, patch, sandbox).correct else PLAUSIBLE
    evidence = execution.evidence
    return Row(
        *known,
        outcome,
        str(verdict.verdict),
        evidence.candidates.tried,
        seconds,
        evidence.operator,
        execution.summary,
        patch,
        dict(evidence.timings),
    )


def totals(rows: Sequence[Row]) -> dict[str, Any]:
    """Counts over the rows; rates are shares of the cases that can be resolved."""
    rows = [row for row in rows if row.outcome != NOT_RUNNABLE]
    within = [row for row in rows if row.expected == "resolved"]
    count = {
        outcome: sum(1 for row in within if row.outcome == outcome)
        for outcome in (CORRECT, PLAUSIBLE, UNRESOLVED, FAILED)
    }
    patched = count[CORRECT] + count[PLAUSIBLE]
    seconds = sorted(row.seconds for row in within if row.outcome == CORRECT)
    return {
        "cases": len(rows),
        "resolvable": len(within),
        **count,
        "correct_rate": round(count[CORRECT] / len(within), 3) if within else None,
        "precision": round(count[CORRECT] / patched, 3) if patched else None,
        "honest_unresolved": sum(1 for row in rows if row.expected == "unresolved" and row.outcome == UNRESOLVED),
        "out_of_reach": sum(1 for row in rows if row.expected == "unresolved"),
        "median_seconds_of_correct": seconds[len(seconds) // 2] if seconds else None,
        "candidates": sum(row.candidates for row in rows),
    }


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.repair", description=__doc__)
    parser.add_argument("--set", type=Path, default=SET, help="folder of the set (default: eval_sets/repair)")
    parser.add_argument("--split", default="dev", choices=("dev", "check", "all"))
    parser.add_argument("--case", action="append", help="only cases whose id contains this; may be repeated")
    parser.add_argument("--budget-seconds", type=float, default=60.0)
    parser.add_argument("--backend", default="auto", help="sandbox backend, as `penstock sandbox probe` names them")
    parser.add_argument("--engine", default="search")
    parser.add_argument("--output", type=Path, default=Path("repair-results.json"), help="where the JSON goes")
    options = parser.parse_args(argv)
    from sandbox import open_sandbox

    try:
        cases = load_cases(options.set, options.split)
    except EvalSetError as error:
        parser.exit(1, f"repair: {error}\n")
    if options.case:
        cases = [case for case in cases if any(part in case.id for part in options.case)]
    sandbox = open_sandbox(options.backend)
    rows: list[Row] = []
    for case in cases:
        row = run_case(case, sandbox, options.budget_seconds, options.engine)
        rows.append(row)
        mark = " " if row.as_expected else "!"
        tried = f"{row.candidates:>6} {row.seconds:>7.1f} s"
        _say(f"{mark} {row.case:32} {row.bug_class:22} {row.outcome:20} {tried}  {row.operator or ''}")
    found = totals(rows)
    _say("")
    for name, value in found.items():
        _say(f"{name:28} {value}")
    languages = {row.language: [one for one in rows if one.language == row.language] for row in rows}
    by_language = {language: totals(of) for language, of in sorted(languages.items())}
    for language, of in by_language.items():
        _say(f"{language}: {of['correct']} correct of {of['resolvable']} that can be resolved, {of[PLAUSIBLE]} wrong")
    result = {
        "set": (options.set / "version").read_text(encoding="utf-8").strip(),
        "split": options.split,
        "engine": options.engine,
        "sandbox": sandbox.name,
        "budget_seconds": options.budget_seconds,
        "cpus": os.cpu_count(),
        "totals": found,
        "by_language": by_language,
        "rows": [asdict(row) for row in rows],
    }
    options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if broken := [row for row in rows if row.outcome == FAILED]:
        sys.stderr.write(f"repair: {len(broken)} cases could not be run, the first: {broken[0].summary}\n")
    return 1 if broken else 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
