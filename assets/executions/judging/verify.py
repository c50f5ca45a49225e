"""Measures a patch: applies it to a clean checkout and runs the whole suite in a fresh process.

Tests that were stopped on the unchanged commit are run to their end when they can reach what the patch changes. It does
not judge the measurement: `gate.judge` does.
"""

import random
import tempfile
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assets.executions.judging.diff import apply_diff
from assets.executions.judging.gate import worse_tests
from assets.executions.judging.reach import changed_places
from assets.executions.repository.test_command import TestCommand, command_id
from assets.executions.trial.baseline import Allowance, Baseline, outcomes_of, run_of, with_outcome
from assets.executions.trial.worker_client import Worker
from core.source_encoding import encode
from core.work import Outcome, TestRun

SLOW_SUITE_SECONDS = 4.0
"""A suite that takes longer is preceded by the quick tests that reach the patch: most wrong patches break one."""
_QUICK_TESTS = 200
_FLAKY_ROUNDS = 3
RUNS_BEFORE, RUNS_AFTER = 1, 2
"""How often the targets are run alone, on the unchanged commit (where the baseline has run them twice in the suite) and
with the patch."""


@dataclass(frozen=True)
class Change:
    """A candidate as text: `diff` is what git applies, `files` the text of each changed file afterwards, None for a
    deleted one; `before` their text in the checkout, None for a new one."""

    diff: str
    files: Mapping[str, str | None]
    before: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Suite:
    """How the tests are run, and their baseline on the unchanged commit. `black_box` is a command of which only the
    exit code is known, run in addition to `command`; `targets` are the failing tests that must pass. `steady`: the
    targets are known to fail in repeated runs on the unchanged commit."""

    command: TestCommand
    black_box: TestCommand | None
    baseline: Baseline
    targets: tuple[str, ...]
    steady: bool = False


@dataclass(frozen=True)
class Verification:
    """What was measured. `applies` is None when applying was not tried; `before` is the run on the unchanged commit if
    more is known of it now; `flaky` are tests that gave different results on the same code; `reached` are unknown tests
    that can reach what the patch changes; `detail` says what went wrong. `unsteady`: targets that also pass on the
    unchanged commit, so that no patch can be proven by them."""

    applies: bool | None
    after: TestRun | None = None
    flaky: tuple[str, ...] = ()
    detail: str = ""
    before: TestRun | None = None
    reached: tuple[str, ...] = ()
    unsteady: tuple[str, ...] = ()

    def failure_message(self, before: TestRun) -> str:
        """Why the patch fails: `detail`, else the failure of the first test that got worse; empty when unknown."""
        if self.detail or self.after is None:
            return self.detail
        failures = self.after.failures
        return next((failures[t] for t in worse_tests(before, self.after, self.flaky) if t in failures), "")


def verify(worker: Worker, root: Path, change: Change, suite: Suite, allowance: Allowance) -> Verification:
    """Applies the change and runs the suite in `worker`, whose session must be a clean copy of the checkout `root` and
    which must not have imported the repository yet. Raises `WorkerDied`."""
    measuring = _Measuring(worker, suite, allowance)
    covering = suite.baseline.covering(changed_places(change.before, change.diff))
    before = measuring.before_of(covering)
    if not suite.steady and (unsteady := measuring.unsteady(Outcome.PASSED, RUNS_BEFORE)):
        detail = f"{unsteady[0]} failed before, and passes on the same code when it is run alone or again"
        return Verification(None, before=before, flaky=unsteady, unsteady=unsteady, detail=detail)
    problem = _apply(worker, root, change)
    if problem is not None:
        return Verification(False, before=before, detail=problem)
    after, flaky = measuring.after(before, covering)
    if not worse_tests(before, after, flaky):
        flaky = (*flaky, *(t for t in measuring.unsteady(Outcome.FAILED, RUNS_AFTER) if t not in flaky))
        for target in set(flaky) & set(suite.targets):
            after = with_outcome(after, target, Outcome.FAILED, "It passes with the patch sometimes, and fails again.")
    unknown = {t for run in (before, after) for t, o in run.outcomes.items() if o is Outcome.UNKNOWN}
    if suite.black_box is not None:
        after = with_outcome(after, *run_command(worker, suite.black_box, measuring.allowance))
    return Verification(True, after, flaky, before=before, reached=tuple(sorted(unknown & covering)))


class _Measuring:
    """Runs of the suite in one worker, within one allowance."""

    def __init__(self, worker: Worker, suite: Suite, allowance: Allowance) -> None:
        self._worker, self._suite, self._baseline = worker, suite, suite.baseline
        self._given, self._until = allowance, time.monotonic() + allowance.seconds
        self._targets = [t for t in suite.targets if "::" in t and t not in suite.baseline.uncollected]

    @property
    def allowance(self) -> Allowance:
        """What is left of the allowance."""
        return self._given.within(self._until - time.monotonic())

    def before_of(self, covering: Collection[str]) -> TestRun:
        """The run on the unchanged commit, in which tests that reach the change and were stopped are run again; at most
        for half of the time."""
        before = self._baseline.run
        settled = {*self._suite.targets, *self._baseline.apart}
        unknown = [t for t, o in before.outcomes.items() if o is Outcome.UNKNOWN and t in covering and t not in settled]
        if not unknown:
            return before
        answer = self._fresh(self._given.within(0.5 * self.allowance.seconds), select=unknown[:_QUICK_TESTS])
        known = {t: o for t, o in outcomes_of(answer).items() if t in unknown and o is not Outcome.UNKNOWN}
        outcomes = {**before.outcomes, **known}
        stopped = {t: s for t, s in before.stopped.items() if t not in known}
        complete = Outcome.UNKNOWN not in outcomes.values()
        return before.model_copy(update={"outcomes": outcomes, "stopped": stopped, "complete": complete})

    def unsteady(self, wrong: Outcome, runs: int) -> tuple[str, ...]:
        """Targets with this outcome in one of several runs of the targets alone, each in another order."""
        stopped = self._baseline.run.stopped
        targets = [t for t in self._targets if t not in stopped]
        found: dict[str, None] = {}
        for number in range(runs if targets else 0):
            order = random.Random(number).sample(targets, len(targets))  # noqa: S311 - the same each time
            outcomes = outcomes_of(self._fresh(self.allowance, select=order))
            found.update(dict.fromkeys(t for t in targets if outcomes.get(t) is wrong))
        return tuple(found)

    def after(self, before: TestRun, covering: Collection[str]) -> tuple[TestRun, tuple[str, ...]]:
        """The run with the patch, and tests that gave different results on the same code. It ends early once a test
        that passed before fails again and again."""
        flaky: dict[str, None] = dict.fromkeys(self._baseline.flaky)
        passing = [t for t, o in before.outcomes.items() if o is Outcome.PASSED and t not in flaky]
        if self._baseline.run.seconds > SLOW_SUITE_SECONDS and (quick := self._quick(covering, passing)):
            run = self._run(self.allowance, ending=quick, select=quick)
            worse = [t for t in worse_tests(before, run.model_copy(update={"complete": False})) if t in quick]
            if worse and not self._passing_again(worse):
                return run, tuple(flaky)
        for _ in range(_FLAKY_ROUNDS):
            run = self._run(self.allowance, ending=[t for t in passing if t not in flaky])
            worse = [t for t in worse_tests(before, run, flaky) if t in run.failing() and "::" in t]
            again = self._passing_again(worse) if len(worse) <= 10 else ()
            flaky.update(dict.fromkeys(again))
            if run.complete or not again or len(again) < len(worse):
                break
        return run, tuple(t for t in flaky if t not in self._baseline.flaky)

    def _quick(self, covering: Collection[str], passing: Collection[str]) -> list[str]:
        """Passing tests that reach the patch, the fastest first, which together take at most a third of the suite."""
        seconds = self._baseline.seconds
        kept: list[str] = []
        spent = 0.0
        for test in sorted(set(covering) & set(passing), key=lambda t: (seconds.get(t, 0.0), t))[:_QUICK_TESTS]:
            spent += seconds.get(test, 0.0)
            if spent > self._baseline.run.seconds / 3:
                break
            kept.append(test)
        return kept

    def _passing_again(self, tests: list[str]) -> tuple[str, ...]:
        if not tests:
            return ()
        outcomes = outcomes_of(self._fresh(self.allowance, select=tests))
        return tuple(t for t in tests if outcomes.get(t) is Outcome.PASSED)

    def _run(self, allowance: Allowance, ending: Collection[str], **fields: Any) -> TestRun:
        answer = self._fresh(allowance, ending=list(ending), **fields)
        run = run_of(answer, self._suite.command.shown, sum(answer["seconds"].values()), self._suite.targets)
        return run.model_copy(update={"outcomes": _settled(run.outcomes, self._suite)})

    def _fresh(self, allowance: Allowance, **fields: Any) -> dict[str, Any]:
        return self._worker.ask(
            "fresh", allowance.seconds + 15, usual=self._baseline.seconds, **allowance.as_fields(), **fields
        )


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


def run_command(worker: Worker, box: TestCommand, allowance: Allowance) -> tuple[str, Outcome, str]:
    """Runs a command of which only the exit code is known. Returns its id, its outcome and the end of its output."""
    limits = worker.limits.with_wall(allowance.seconds)
    done = worker.session.run(["/bin/sh", "-c", box.arguments[0]], limits=limits, services=True)
    output = (done.stdout + b"\n" + done.stderr)[-1500:].decode(errors="replace").strip()
    return command_id(box), Outcome.PASSED if done.ok else Outcome.FAILED, output
