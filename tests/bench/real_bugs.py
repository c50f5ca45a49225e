"""Real bugs solved with the later release's tests laid over: `python -m tests.bench.real_bugs --split dev`.

Solves each case of `released-fixes` as `penstock solve` does when a maintainer has committed the failing tests first.
The solver sees every test of the fix, so these cannot judge its patch. It is judged, in this order, by a label that a
person gave after reading it beside the true fix (`real_bugs_labels.json`), by having the same program as the true fix,
and by tests of an even later release that pass with the true fix. Prints a line per case and the precision of `pass`
and `draft`; writes JSON, and a page per published patch for reading.
"""

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from assets.evals.harvest.releases import ReleaseUnavailable
from assets.evals.sets.released import Release, ReleasedCase, load_released
from assets.evals.sets.released_laid_over import open_laid_over, open_later, same_code
from assets.evals.sets.repair import RepairCase, checkout
from assets.evals.sets.set_files import EvalSetError
from assets.executions.engines.open_engine import EngineChoice
from core.statistics.intervals import wilson
from core.work import Budget, VerdictKind
from dagster_project.subjects.repair import solve_case
from sandbox.protocol import Sandbox, SandboxUnavailable
from tests.bench.real_bugs_calls import Comparison, compare_calls

ROOT = Path(__file__).parents[2]
SET = ROOT / "eval_sets" / "released-fixes"
LABELS = Path(__file__).with_name("real_bugs_labels.json")
RIGHT = frozenset({"right", "equivalent"})
SMALL = 6
"""Changed lines. Of larger fixes hardly any is published."""


@dataclass(frozen=True)
class Row:
    """One case's result. `published` is `pass`, `draft`, `none` or `failed` (the suite could not be run); `judged` is
    `right`, `equivalent`, `wrong` or `unjudged`, and empty without a patch; `judge` says by what."""

    case: str
    package: str
    split: str
    fix_lines: int
    published: str
    judged: str = ""
    judge: str = ""
    why: str = ""
    candidates: int = 0
    survivors: int = 0
    seconds: float = 0.0
    operator: str = ""
    reasons: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    summary: str = ""
    timings: dict[str, float] = field(default_factory=dict)
    patch: str = ""
    later: dict[str, Any] = field(default_factory=dict)
    calls: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Label:
    """What a person says about one patch, identified by its hash, after reading it beside the true fix."""

    case: str
    patch_sha256: str
    label: str
    why: str


def read_labels(path: Path = LABELS) -> dict[tuple[str, str], Label]:
    """Labels by case and patch. Raises `ValueError` for an unknown label or one without a reason."""
    found: dict[tuple[str, str], Label] = {}
    for entry in json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []:
        label = Label(**entry)
        if label.label not in ("right", "wrong", "equivalent") or not label.why.strip():
            raise ValueError(f"{path}: the label of {label.case} must be right, wrong or equivalent, with a reason")
        found[label.case, label.patch_sha256] = label
    return found


def patch_hash(patch: str) -> str:
    return hashlib.sha256(patch.encode()).hexdigest()


def solve(case: ReleasedCase, sandbox: Sandbox, seconds: float, out: Path, engine: str) -> Row:
    """Solves one case and judges its patch by everything but reading. Raises `ReleaseUnavailable`, `EvalSetError` and
    `SandboxUnavailable`."""
    lines = sum(max(lines.end - lines.start, 1) for lines in case.fields.fix)
    began = time.monotonic()
    with open_laid_over(case) as repair:
        lines = max(lines, fix_lines(repair.fix))
        known = Row(case.id, case.fields.package, case.fields.split, lines, "none")
        command = " ".join(_quoted(word) for word in repair.fields.test)
        (out / "trajectories").mkdir(parents=True, exist_ok=True)
        with checkout(repair) as root, (out / "trajectories" / f"{case.id}.jsonl").open("w") as trajectory:

            def record(kind: str, body: dict[str, Any]) -> None:
                trajectory.write(json.dumps({"kind": kind, "body": body}, default=str) + "\n")

            solution = solve_case(repair, root, EngineChoice(engine), sandbox, Budget(seconds=seconds), record, command)
        execution, verdict = solution.execution, solution.verdict
        evidence = execution.evidence
        known = replace(
            known,
            candidates=evidence.candidates.tried,
            survivors=evidence.candidates.passed_failing_tests,
            seconds=round(time.monotonic() - began, 1),
            operator=evidence.operator or "",
            summary=execution.summary,
            timings=dict(evidence.timings),
            environment=tuple(failure.missing for failure in evidence.environment),
        )
        if evidence.before is None:
            return replace(known, published="failed")
        if execution.patch is None or verdict.verdict is VerdictKind.FAIL:
            return known
        patch = execution.patch.diff
        row = replace(known, published=str(verdict.verdict), reasons=verdict.reasons, patch=patch)
        return _judged(row, case, repair, sandbox, out)


def judge_again(row: Row, case: ReleasedCase, sandbox: Sandbox, out: Path) -> Row:
    """Judges the patch of an earlier run, for a case that names a later release only now. Raises as `solve` does."""
    if not row.patch:
        return row
    with open_laid_over(case) as repair:
        return _judged(replace(row, judged="", judge="", why=""), case, repair, sandbox, out)


def fix_lines(patch: str) -> int:
    """The larger of the numbers of removed and added lines of a unified diff, without blank lines and comments."""
    lines = [line for line in patch.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    kept = [line for line in lines if line[1:].strip() and not line[1:].strip().startswith("#")]
    return max(sum(line[0] == sign for line in kept) for sign in "+-")


def _judged(row: Row, case: ReleasedCase, repair: RepairCase, sandbox: Sandbox, out: Path) -> Row:
    """The row with what programs can say about its patch, which is also written as a page."""
    if same_code(repair, row.patch):
        row = replace(row, judged="right", judge="same program as the true fix")
    else:
        row = replace(row, judged="unjudged", judge="nothing", calls=asdict(_compared(repair, row.patch, sandbox)))
        if case.fields.later is not None:
            row = _judged_by(case.fields.later, row, case, repair, sandbox)
    _write_page(out / "patches" / f"{case.id}.md", row, case, repair)
    return row


def _compared(repair: RepairCase, patch: str, sandbox: Sandbox) -> Comparison:
    try:
        return compare_calls(repair, patch, sandbox)
    except SandboxUnavailable as error:
        return Comparison(0, 0, why=str(error)[:200])


def _judged_by(release: Release, row: Row, case: ReleasedCase, repair: RepairCase, sandbox: Sandbox) -> Row:
    with open_later(case, repair, release, sandbox) as later:
        judged = later.judge(row.patch)
    found = {
        "version": release.version,
        "passing": len(judged.tests.passing),
        "telling": len(judged.tests.telling),
        "broken": judged.broken,
    }
    row = replace(row, later=found)
    if judged.broken:
        return replace(row, judged="wrong", judge="later tests", why=f"{judged.broken[0]} fails")
    return row


def with_label(row: Row, labels: dict[tuple[str, str], Label]) -> Row:
    """The row with what a person said about its patch, which overrides what programs found."""
    label = labels.get((row.case, patch_hash(row.patch))) if row.patch else None
    return row if label is None else replace(row, judged=label.label, judge="reading", why=label.why)


def totals(rows: Sequence[Row]) -> dict[str, Any]:
    """Counts, and the precision of each kind of publication with Wilson's interval. An unjudged patch counts as
    neither right nor wrong, and `at_worst` counts it as wrong."""
    within = [row for row in rows if row.published != "failed" and not row.environment]
    found: dict[str, Any] = {
        "cases": len(rows),
        "packages": len({row.package for row in rows}),
        f"fixes_up_to_{SMALL}_lines": sum(row.fix_lines <= SMALL for row in rows),
        "environment_failures": [row.case for row in rows if row.environment],
        "could_not_be_run": [row.case for row in rows if row.published == "failed" and not row.environment],
        "solvable_runs": len(within),
        "nothing_published": sum(row.published == "none" for row in within),
    }
    for kind in ("pass", "draft"):
        of_kind = [row for row in within if row.published == kind]
        right = sum(row.judged in RIGHT for row in of_kind)
        wrong = sum(row.judged == "wrong" for row in of_kind)
        found[kind] = {
            "published": len(of_kind),
            "packages": len({row.package for row in of_kind}),
            "right": right,
            "wrong": wrong,
            "unjudged": len(of_kind) - right - wrong,
            "precision": _rate(right, right + wrong),
            "at_worst": _rate(right, len(of_kind)),
        }
    right = sum(row.judged in RIGHT for row in within)
    found["solved"] = _rate(right, len(within))
    return found


def _rate(successes: int, trials: int) -> str:
    if not trials:
        return "none"
    interval = wilson(successes, trials)
    return f"{successes / trials:.1%} ({interval.low:.1%} to {interval.high:.1%})"


def _quoted(word: str) -> str:
    import shlex

    return shlex.quote(word)


def _write_page(path: Path, row: Row, case: ReleasedCase, repair: RepairCase) -> None:
    """A published patch beside the true fix, with everything that was found about it, for labelling by reading."""
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = [
        f"# {row.case}: {row.published}, {row.judged} ({row.judge})",
        f"patch_sha256: {patch_hash(row.patch)}",
        f"reasons: {'; '.join(row.reasons) or 'none'}",
        f"## Issue\n\n{case.issue}",
        f"## Failing tests\n\n{chr(10).join(case.fields.fails)}",
        f"## Published ({row.operator})\n\n```diff\n{row.patch}```",
        f"## True fix\n\n```diff\n{repair.fix}```",
        f"## Later release\n\n{json.dumps(row.later, indent=1)}",
        f"## Calls\n\n{json.dumps(row.calls, indent=1)}",
    ]
    path.write_bytes("\n\n".join(parts).encode("utf-8", "surrogateescape"))


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.real_bugs", description=__doc__)
    parser.add_argument("--set", type=Path, default=SET)
    parser.add_argument("--split", default="dev", choices=("dev", "check", "all"))
    parser.add_argument("--case", action="append", help="only cases whose id contains this; may be repeated")
    parser.add_argument("--budget-seconds", type=float, default=60.0)
    parser.add_argument("--backend", default="auto", help="sandbox backend, as `penstock sandbox probe` names them")
    parser.add_argument("--engine", default="search")
    parser.add_argument("--out", type=Path, default=Path("real-bugs"), help="folder of results.json and the pages")
    parser.add_argument("--again", action="store_true", help="solve cases anew that the folder has results of")
    parser.add_argument("--labels-only", action="store_true", help="apply the labels to the folder's results")
    parser.add_argument("--judge-again", action="store_true", help="judge the folder's patches anew, solve nothing")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    from sandbox import open_sandbox

    options = _options(argv)
    try:
        cases, labels = load_released(options.set), read_labels()
    except (EvalSetError, ValueError) as error:
        sys.stderr.write(f"real_bugs: {error}\n")
        return 1
    cases = [case for case in cases if options.split in ("all", case.fields.split)]
    if options.case:
        cases = [case for case in cases if any(part in case.id for part in options.case)]
    options.out.mkdir(parents=True, exist_ok=True)
    results = options.out / "results.json"
    known = {} if options.again else _known(results)
    sandbox = None if options.labels_only else open_sandbox(options.backend)
    for case in cases:
        row = known.get(case.id)
        if sandbox is not None:
            row = _next(row, case, sandbox, options)
        if row is None:
            continue
        known[case.id] = with_label(row, labels)
        _say(_line(known[case.id]))
        _write(results, list(known.values()), options)
    rows = list(known.values())
    for name, value in totals(rows).items():
        _say(f"{name:28} {value}")
    return 1 if any(row.published == "failed" and not row.environment for row in rows) else 0


def _write(results: Path, rows: Sequence[Row], options: argparse.Namespace) -> None:
    found = {
        "set": (options.set / "version").read_text(encoding="utf-8").strip(),
        "engine": options.engine,
        "budget_seconds": options.budget_seconds,
        "cpus": os.cpu_count(),
        "totals": totals(rows),
        "rows": [asdict(row) for row in rows],
    }
    results.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def _known(results: Path) -> dict[str, Row]:
    """Rows of an earlier run in this folder, so that an interrupted one goes on."""
    if not results.is_file():
        return {}
    held = json.loads(results.read_text(encoding="utf-8"))
    tuples = ("reasons", "environment")
    return {row["case"]: Row(**{k: tuple(v) if k in tuples else v for k, v in row.items()}) for row in held["rows"]}


def _next(row: Row | None, case: ReleasedCase, sandbox: Sandbox, options: argparse.Namespace) -> Row | None:
    """The case's row after what the options ask for; None for a case without a row that is not to be solved."""
    try:
        if options.judge_again:
            return row if row is None else judge_again(row, case, sandbox, options.out)
        return row or solve(case, sandbox, options.budget_seconds, options.out, options.engine)
    except (ReleaseUnavailable, EvalSetError, SandboxUnavailable) as error:
        what = f"{type(error).__name__}: {error}"
        return Row(case.id, case.fields.package, case.fields.split, 0, "failed", summary=what)


def _line(row: Row) -> str:
    numbers = f"{row.fix_lines:>3} lines {row.candidates:>6} tried {row.seconds:>6.1f} s"
    why = row.why or "; ".join(row.reasons) or ("" if row.patch else row.summary)
    return f"{row.case:44} {row.published:6} {row.judged:10} {numbers}  {why[:150]}"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
