"""Which measurements beyond the tests catch wrong patches, and which hurt right ones: `python -m tests.bench.doubts`.

Every patch passes the visible tests. Right ones are the fixes of the development cases of `eval_sets/repair` and of the
programs in `contrived.toml`; wrong ones are contrived edits, and survivors of the search that held-back tests reject
(`survivors.jsonl`, made by `python -m tests.bench.wrong_patches`).
"""

import argparse
import contextlib
import json
import pickle
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from assets.evals.sets.repair import apply, checkout, load_cases
from assets.evals.sets.suite_runs import run_tests
from assets.executions.judging.behaviour.doubts import RULES, judge_behaviour
from assets.executions.judging.behaviour.measure import Measurement, measure_patches
from assets.executions.judging.behaviour.rivals import rival_doubt, rival_groups
from assets.executions.judging.diff import unified_diff
from assets.executions.judging.verify import Change
from assets.executions.repository.test_command import detect
from assets.executions.trial.baseline import Allowance
from assets.executions.trial.baseline import measure as measure_baseline
from assets.executions.trial.worker_client import PytestWorker
from sandbox.protocol import Limits, Sandbox
from tests.bench.contrived import Edit, Program, programs
from tests.bench.repair import SET

SURVIVORS = Path(__file__).with_name("survivors.jsonl")
SECONDS = 60.0


@dataclass(frozen=True)
class Subject:
    """One patch. `source` is `fix`, `contrived` or `survivor`."""

    group: str
    kind: str
    source: str
    right: bool
    change: Change


@dataclass(frozen=True)
class Group:
    """Patches of one program, measured together."""

    subjects: list[Subject]
    measurement: Measurement


def measured(root: Path, subjects: list[Subject], sandbox: Sandbox) -> Group:
    """Measures the subjects that pass the visible tests that the others pass too."""
    command = detect(root, None)
    worker = PytestWorker(sandbox, root, command, Limits(wall_seconds=200, cpu_seconds=400))
    try:
        baseline = measure_baseline(worker, command, Allowance(30.0))
        changes = [s.change for s in subjects]
        return Group(subjects, measure_patches(worker, root, changes, baseline, tuple(baseline.failing), SECONDS))
    finally:
        worker.close()


def program_group(program: Program, sandbox: Sandbox) -> Group:
    with tempfile.TemporaryDirectory(prefix="penstock-program-") as name:
        root = Path(name)
        (root / "program.py").write_text(program.source, encoding="utf-8")
        (root / "test_program.py").write_text(program.tests, encoding="utf-8")
        subjects = [
            Subject(program.name, e.kind, "fix" if e.right else "contrived", e.right, _edited(program, e))
            for e in program.edits
        ]
        kept = [s for s in subjects if _passes(root, s, sandbox)]
        return measured(root, kept, sandbox)


def _edited(program: Program, edit: Edit) -> Change:
    before: dict[str, str | None] = {"program.py": program.source}
    files: dict[str, str | None] = {"program.py": edit.applied(program.source)}
    return Change(unified_diff(before, files), files)


def _passes(root: Path, subject: Subject, sandbox: Sandbox) -> bool:
    with _patched(root, subject.change) as patched:
        run = run_tests(patched, ("python", "-m", "pytest", "-q", "-x"), sandbox)
    if not run.passed:
        sys.stderr.write(f"left out, its tests fail: {subject.group} {subject.kind}\n{run.tail[-200:]}\n")
    return run.passed


@contextlib.contextmanager
def _patched(root: Path, change: Change) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="penstock-patched-") as name:
        for path in root.glob("*.py"):
            (Path(name) / path.name).write_bytes(path.read_bytes())
        apply(Path(name), change.diff)
        yield Path(name)


def case_groups(path: Path, sandbox: Sandbox, only: list[str]) -> Iterator[Group]:
    survivors: dict[str, list[dict[str, object]]] = {}
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            survivors.setdefault(row["case"], []).append(row)
    for case in (one for one in load_cases(SET, "dev") if one.fields.language == "python"):
        if case.fields.expected != "resolved" or (only and not any(part in case.id for part in only)):
            continue
        with checkout(case) as root:
            subjects = [Subject(case.id, "fix", "fix", True, _change(root, case.fix))]
            for row in survivors.get(case.id, []):
                change = _change(root, str(row["diff"]))
                subjects.append(Subject(case.id, str(row["operator"]), "survivor", bool(row["right"]), change))
            yield measured(root, subjects, sandbox)


def _change(root: Path, diff: str) -> Change:
    with tempfile.TemporaryDirectory(prefix="penstock-patched-") as name:
        patched = Path(name) / "repo"
        shutil.copytree(root, patched)
        apply(patched, diff)
        names = [p for p in patched.rglob("*") if p.is_file()]
        files: dict[str, str | None] = {}
        before: dict[str, str | None] = {}
        for file in names:
            relative = file.relative_to(patched)
            old = (root / relative).read_bytes() if (root / relative).is_file() else None
            if file.read_bytes() != old:
                files[relative.as_posix()] = file.read_bytes().decode()
                before[relative.as_posix()] = None if old is None else old.decode()
    return Change(unified_diff(before, files), files)


def table(groups: list[Group]) -> list[str]:
    """One row for each rule: wrong patches caught, right ones hurt."""
    counts = {name: [0, 0, 0] for name in (*RULES, "any")}
    totals = [0, 0, 0]
    for group in groups:
        for number, subject in enumerate(group.subjects):
            column = 0 if not subject.right else 1 if subject.source == "fix" else 2
            totals[column] += 1
            kinds = {d.kind for d in judge_behaviour(group.measurement, number).doubts}
            for name in counts:
                counts[name][column] += name in kinds or (name == "any" and bool(kinds))
    rows = ["| measure | wrong caught | right fixes hurt | right survivors hurt |", "|---|---|---|---|"]
    for name, found in counts.items():
        rows.append(f"| {name} | " + " | ".join(f"{n} of {t}" for n, t in zip(found, totals, strict=True)) + " |")
    return rows


def rivals(groups: list[Group]) -> list[str]:
    """How often the preferred one of several survivors is right; and, when each survivor of a case is chosen equally
    often, how many wrong and right choices become drafts for rivals."""
    cases, preferred, first = 0, 0, 0
    totals = {True: [0.0, 0.0], False: [0.0, 0.0]}
    for group in groups:
        numbers = [n for n, s in enumerate(group.subjects) if s.source == "survivor"]
        if len(numbers) < 2:
            continue
        right = [group.subjects[n].right for n in numbers]
        together = replace(group.measurement, patches=tuple(group.measurement.patches[n] for n in numbers))
        cases += 1
        preferred += right[rival_groups(together)[0].patches[0]]
        first += right[0]
        for number, correct in enumerate(right):
            totals[correct][0] += 1 / len(right)
            totals[correct][1] += (rival_doubt(together, number) is not None) / len(right)
    wrong_all, wrong_drafts = totals[False]
    right_all, right_drafts = totals[True]
    return [
        f"{cases} cases with several survivors: {preferred} right ones preferred, {first} found first",
        f"each equally often: {right_all:.1f} right ones",
        f"drafts for rivals: {wrong_drafts:.1f} of {wrong_all:.1f} wrong, {right_drafts:.1f} of {right_all:.1f} right",
    ]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.doubts", description=__doc__)
    parser.add_argument("--survivors", type=Path, default=SURVIVORS)
    parser.add_argument("--only", action="append", default=[], help="only groups whose name contains this")
    parser.add_argument("--backend", default="bubblewrap")
    parser.add_argument("--store", type=Path, help="where the measurements are stored, to judge them again")
    parser.add_argument("--stored", type=Path, action="append", default=[], help="judge stored measurements only")
    parser.add_argument("--verbose", action="store_true", help="a line for each patch")
    options = parser.parse_args(argv)
    groups: list[Group] = []
    for path in options.stored:
        groups += pickle.loads(path.read_bytes())  # noqa: S301 - written by this program
    if not options.stored:
        from sandbox import open_sandbox

        sandbox = open_sandbox(options.backend)
        for program in programs():
            if not options.only or any(part in program.name for part in options.only):
                groups.append(program_group(program, sandbox))
        for group in case_groups(options.survivors, sandbox, options.only):
            groups.append(group)
            sys.stderr.write(
                f"{group.subjects[0].group}: {len(group.subjects)}, {len(group.measurement.calls)} calls\n"
            )
        if options.store:
            options.store.write_bytes(pickle.dumps(groups))
    if options.verbose:
        for group in groups:
            for number, subject in enumerate(group.subjects):
                found = judge_behaviour(group.measurement, number)
                mark = "right" if subject.right else "WRONG"
                sys.stdout.write(f"{mark} {subject.source:9} {subject.group:28} {subject.kind:26} "
                                 f"{', '.join(d.kind for d in found.doubts) or '-'}\n")  # fmt: skip
    sys.stdout.write("\n".join([*table(groups), "", *rivals(groups)]) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
