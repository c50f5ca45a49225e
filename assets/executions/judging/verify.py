"""Measures a patch: applies it to a clean checkout and runs the whole suite in a fresh process.

It does not judge the measurement: `gate.judge` does.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assets.executions.judging.diff import apply_diff
from assets.executions.judging.gate import worse_tests
from assets.executions.repository.test_command import TestCommand, command_id
from assets.executions.trial.baseline import Allowance, Baseline, failures_of, outcomes_of, with_outcome
from assets.executions.trial.worker_client import Worker
from core.source_encoding import encode
from core.work import Outcome, TestRun


@dataclass(frozen=True)
class Change:
    """A candidate as text: `diff` is what git applies, `files` the text of each changed file afterwards, None for a
    deleted one."""

    diff: str
    files: Mapping[str, str | None]


@dataclass(frozen=True)
class Suite:
    """How the tests are run, and their baseline on the unchanged commit. `black_box` is a command of which only the
    exit code is known, run in addition to `command`; `targets` are the failing tests that must pass."""

    command: TestCommand
    black_box: TestCommand | None
    baseline: Baseline
    targets: tuple[str, ...]


@dataclass(frozen=True)
class Verification:
    """What was measured. `applies` is None when applying was not tried; `flaky` are tests that got worse in this run
    and pass when they are run again; `detail` says what went wrong."""

    applies: bool | None
    after: TestRun | None = None
    flaky: tuple[str, ...] = ()
    detail: str = ""

    def failure_message(self, before: TestRun) -> str:
        """Why the patch fails: `detail`, else the failure of the first test that got worse; empty when unknown."""
        if self.detail or self.after is None:
            return self.detail
        failures = self.after.failures
        return next((failures[t] for t in worse_tests(before, self.after, self.flaky) if t in failures), "")


def verify(worker: Worker, root: Path, change: Change, suite: Suite, allowance: Allowance) -> Verification:
    """Applies the change and runs the suite in `worker`, whose session must be a clean copy of the checkout `root` and
    which must not have imported the repository yet. Raises `WorkerDied`."""
    problem = _apply(worker, root, change)
    if problem is not None:
        return Verification(False, detail=problem)
    baseline = suite.baseline
    answer = worker.ask("fresh", allowance.seconds + 15, **allowance.as_fields())
    outcomes = _settled(outcomes_of(answer), suite)
    unfinished = [t for t in answer.get("unfinished", ()) if t in baseline.run.outcomes]
    after = TestRun(
        command=suite.command.shown,
        outcomes=outcomes,
        failures={t: f[0].short for t, f in failures_of(answer).items() if f},
        seconds=round(sum(answer["seconds"].values()), 4),
        exit_code=None if unfinished else int(any(o in (Outcome.FAILED, Outcome.ERROR) for o in outcomes.values())),
        limit="wall" if unfinished else None,
        complete=not unfinished,
    )
    flaky = _flaky(worker, after, baseline.run, allowance)
    if suite.black_box is not None:
        after = with_outcome(after, *run_command(worker, suite.black_box, allowance))
    return Verification(True, after, flaky)


def _apply(worker: Worker, root: Path, change: Change) -> str | None:
    """Applies the diff with git to copies of the changed files and writes the result into the worker's session. Returns
    None when the result is the text that was tried, else the problem."""
    with tempfile.TemporaryDirectory(prefix="penstock-apply-") as name:
        folder = Path(name)
        for path in change.files:
            if (root / path).is_file():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes((root / path).read_bytes())
        problem = apply_diff(folder, change.diff)
        if problem is not None:
            return problem
        for path, text in change.files.items():
            content = (folder / path).read_bytes() if (folder / path).is_file() else None
            if content != (None if text is None else encode(path, text)):
                return f"after applying the patch, {path} is not what was tried"
            if content is not None:
                worker.session.write(path, content)
    gone = [path for path, text in change.files.items() if text is None]
    if gone and not worker.session.run(["rm", "-f", "--", *(f"./{path}" for path in gone)]).ok:
        return f"{', '.join(gone)} could not be deleted in the sandbox"
    return None


def _settled(outcomes: dict[str, Outcome], suite: Suite) -> dict[str, Outcome]:
    """Outcomes in which a target that is a collection error passes once its tests are collected and pass."""
    baseline = suite.baseline
    if suite.command.runner == "unittest":
        known = set(baseline.tests)
        behind = tuple(f"{t}::" for t in baseline.uncollected)
        outcomes = {t: o for t, o in outcomes.items() if t in known or "::" not in t or t.startswith(behind)}
    for target in suite.targets:
        if target in baseline.uncollected and target not in outcomes:
            prefix = (
                ""
                if ("/" not in target and not target.endswith(".py")) or target.endswith("conftest.py")
                else f"{target}::"
            )
            inside = [o for t, o in outcomes.items() if t.startswith(prefix)]
            fine = bool(inside) and all(o in (Outcome.PASSED, Outcome.SKIPPED) for o in inside)
            outcomes[target] = Outcome.PASSED if fine else Outcome.FAILED
    return outcomes


def _flaky(worker: Worker, after: TestRun, before: TestRun, allowance: Allowance) -> tuple[str, ...]:
    """Tests that newly fail, but pass when they are run again on the same code."""
    failing = after.failing()
    worse = [test for test in worse_tests(before, after) if test in failing and "::" in test]
    if not worse or len(worse) > 10:
        return ()
    again: dict[str, Any] = worker.ask("fresh", allowance.seconds + 15, select=worse, **allowance.as_fields())
    return tuple(t for t in worse if again.get("outcomes", {}).get(t) == "passed")


def run_command(worker: Worker, box: TestCommand, allowance: Allowance) -> tuple[str, Outcome, str]:
    """Runs a command of which only the exit code is known. Returns its id, its outcome and the end of its output."""
    limits = worker.limits.with_wall(allowance.seconds)
    done = worker.session.run(["/bin/sh", "-c", box.arguments[0]], limits=limits)
    output = (done.stdout + b"\n" + done.stderr)[-1500:].decode(errors="replace").strip()
    return command_id(box), Outcome.PASSED if done.ok else Outcome.FAILED, output
