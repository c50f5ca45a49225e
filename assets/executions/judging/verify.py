"""The last word on a patch: applied to a clean checkout, the whole suite in a process that has seen nothing else."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assets.executions.attempt.baseline import Allowance, Baseline, failures_of, outcomes_of
from assets.executions.attempt.checkout import Checkout
from assets.executions.attempt.test_command import TestCommand, command_id
from assets.executions.trial.worker_client import Worker
from core.work import Outcome, TestRun

from .diff import apply_diff


@dataclass(frozen=True)
class Verification:
    applies: bool
    after: TestRun | None
    flaky: tuple[str, ...] = ()
    detail: str = ""

    def accepts(self, targets: tuple[str, ...], before: TestRun) -> bool:
        """Whether the targets pass and nothing is worse; the gate asks the same of the stored evidence."""
        if not self.applies or self.after is None:
            return False
        return all(self.after.outcomes.get(t) is Outcome.PASSED for t in targets) and not self.worse(before)

    def worse(self, before: TestRun) -> list[str]:
        """Tests that passed before and do not pass now."""
        if self.after is None:
            return []
        now = self.after.outcomes
        lost = [
            t
            for t, o in before.outcomes.items()
            if o is Outcome.PASSED and t not in self.flaky and now.get(t, Outcome.FAILED) is not Outcome.PASSED
        ]
        return [t for t in lost if t in now or self.after.complete]

    def said(self, tests: list[str]) -> str:
        """Why the patch does not hold: what git said, else how the first of these tests fails."""
        failures = self.after.failures if self.after else {}
        return self.detail or next((failures[test] for test in tests if test in failures), "")


def verify(
    worker: Worker,
    checkout: Checkout,
    command: TestCommand,
    diff: str,
    expected: Mapping[str, str | None],
    targets: tuple[str, ...],
    baseline: Baseline,
    allowance: Allowance,
    box: TestCommand | None = None,
) -> Verification:
    """Applies `diff` and runs the suite in `worker`, whose session is a clean copy of the checkout and which has
    not imported the repository yet. `expected` is each changed file's text afterwards, None for one that is gone.
    Raises `WorkerDied`."""
    with tempfile.TemporaryDirectory(prefix="penstock-apply-") as name:
        folder = Path(name)
        for path in expected:
            if (checkout.root / path).is_file():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes((checkout.root / path).read_bytes())
        problem = apply_diff(folder, diff)
        if problem is not None:
            return Verification(False, None, detail=problem)
        for path, text in expected.items():
            content = (folder / path).read_bytes() if (folder / path).is_file() else None
            if content != (None if text is None else text.encode()):
                return Verification(False, None, detail=f"{path} is not what was tried after applying the patch")
            if content is not None:
                worker.session.write(path, content)
        gone = [path for path, text in expected.items() if text is None]
        if gone and not worker.session.run(["rm", "-f", "--", *(f"./{path}" for path in gone)]).ok:
            return Verification(False, None, detail=f"{', '.join(gone)} could not be deleted in the sandbox")
    answer = worker.ask("fresh", allowance.seconds + 15, **allowance.as_fields())
    outcomes = _settled(outcomes_of(answer), answer, command, targets, baseline)
    flaky = _flaky(worker, outcomes, baseline, allowance)
    if box is not None:
        name, outcome, _ = run_command(worker, box, allowance)
        outcomes[name] = outcome
    failures = failures_of(answer)
    unfinished = [t for t in answer.get("unfinished", ()) if t in baseline.run.outcomes]
    after = TestRun(
        command=command.shown,
        outcomes=outcomes,
        failures={t: f[0].short for t, f in failures.items() if f},
        seconds=round(sum(answer["seconds"].values()), 4),
        exit_code=None if unfinished else int(any(o in (Outcome.FAILED, Outcome.ERROR) for o in outcomes.values())),
        limit="wall" if unfinished else None,
        complete=not unfinished,
    )
    return Verification(True, after, flaky)


def _settled(
    outcomes: dict[str, Outcome],
    answer: dict[str, Any],
    command: TestCommand,
    targets: tuple[str, ...],
    baseline: Baseline,
) -> dict[str, Outcome]:
    """A collection error among the targets counts as passed once the tests behind it are collected and pass."""
    if command.runner == "unittest":
        known = set(baseline.tests)
        behind = tuple(f"{t}::" for t in baseline.uncollected)
        outcomes = {t: o for t, o in outcomes.items() if t in known or "::" not in t or t.startswith(behind)}
    for target in targets:
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


def _flaky(worker: Worker, outcomes: dict[str, Outcome], baseline: Baseline, allowance: Allowance) -> tuple[str, ...]:
    """Tests that are worse in this run, but pass when they are run again on the same code."""
    worse = [
        t
        for t, o in outcomes.items()
        if o in (Outcome.FAILED, Outcome.ERROR) and baseline.run.outcomes.get(t) is Outcome.PASSED and "::" in t
    ]
    if not worse or len(worse) > 10:
        return ()
    again = worker.ask("fresh", allowance.seconds + 15, select=worse, **allowance.as_fields())
    return tuple(t for t in worse if again.get("outcomes", {}).get(t) == "passed")


def run_command(worker: Worker, box: TestCommand, allowance: Allowance) -> tuple[str, Outcome, str]:
    """Runs a test command that we cannot look into; (its id, how it ended, the end of what it said)."""
    limits = worker.limits.with_wall(allowance.seconds)
    done = worker.session.run(["/bin/sh", "-c", box.arguments[0]], limits=limits)
    said = (done.stdout + b"\n" + done.stderr)[-1500:].decode(errors="replace").strip()
    return command_id(box), Outcome.PASSED if done.ok else Outcome.FAILED, said
