"""The state of one attempt at a task, which finding the baseline, trying candidates and verifying them share."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from assets.executions.engines.protocol import Candidate, Engine
from assets.executions.engines.search.files import EditableFiles
from assets.executions.trial.worker_client import Spare, Worker, WorkerDied
from core.work import Plan, PlanStep, StepKind, TaskContext, TaskText
from sandbox.protocol import Limits, Sandbox

from .baseline import Allowance
from .checkout import Checkout
from .findings import Findings, plain
from .test_command import TestCommand

Record = Callable[[str, dict[str, Any]], None]
Revise = Callable[[Plan], None]


class Stopped(Exception):
    """The task was cancelled or its lease lost."""


@dataclass
class AttemptState:
    """What an attempt is given and has come to. `command` is the suite's, once it is known; `box` a command that only
    says yes or no; `extra` files are in every worker; `reserve` seconds are kept for verification."""

    task: TaskText
    plan: Plan
    context: TaskContext
    checkout: Checkout
    sandbox: Sandbox
    engine: Engine
    record: Record
    revise: Revise
    should_stop: Callable[[], bool]
    given: str | None
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        self.budget = self.checkout.settings.narrowed(self.plan.budget)
        self.files = EditableFiles(self.checkout.root, self.checkout.settings, self.given)
        self.findings = Findings(self.sandbox.name, self.engine.name, self.files)
        self.findings.notes.extend(self.checkout.notes)
        self.deadline = self.findings.started + self.budget.seconds
        self.reserve = 2.0
        self.box: TestCommand | None = None
        self.command: TestCommand
        self.extra: dict[str, bytes] = {}
        self.reproduction = "tests"
        self.workers: list[Worker] = []
        self.spare: Spare | None = None

    def close(self) -> None:
        """Ends every worker of it."""
        for worker in self.workers:
            worker.close()
        if self.spare is not None:
            self.spare.close()

    @property
    def left(self) -> float:
        """Seconds until the budget is spent."""
        return self.deadline - time.monotonic()

    def check(self) -> None:
        """Raises `Stopped` when told to stop."""
        if self.should_stop():
            raise Stopped("the task was cancelled, or its lease was lost")

    @property
    def exhausted(self) -> bool:
        """Whether no more candidates may be tried."""
        return self.left < self.reserve or self.findings.tried >= self.budget.candidates

    def open_worker(self) -> Worker:
        """A worker on a clean copy of the checkout, set up as `penstock.toml` says. Raises `WorkerDied`."""
        worker = Worker(self.sandbox, self.checkout.root, self.command, self.limits)
        self.workers.append(worker)
        for path, content in self.extra.items():
            worker.session.write(path, content)
        for line in self.checkout.settings.setup:
            limits = self.limits.with_wall(max(5.0, self.left / 4))
            done = worker.session.run(["/bin/sh", "-c", line], limits=limits)
            if not done.ok:
                said = (done.stderr or done.stdout)[-300:].decode(errors="replace").strip()
                raise WorkerDied(f"set-up command {line!r} failed ({done.limit or done.exit_code}): {said}")
        return worker

    def allowance(self, seconds: float) -> Allowance:
        """How long a run of the suite may take, and each test of it."""
        long = max(2.0, min(5.0, 0.1 * self.budget.seconds))
        deferred = max(2.0, 0.12 * self.budget.seconds)
        return Allowance(seconds=max(1.0, seconds), short=min(1.0, long), long=long, deferred=deferred)

    def revised(self, reason: str) -> None:
        """Stores a new revision of the plan: other failing tests are aimed at."""
        step = PlanStep(kind=StepKind.EDIT, goal="Aim at other failing tests", detail=reason)
        self.plan = self.plan.model_copy(
            update={"revision": self.plan.revision + 1, "reason": reason, "steps": (*self.plan.steps, step)}
        )
        self.revise(self.plan)

    def describe(self, candidate: Candidate) -> str:
        """A candidate in one line, for the trajectory."""
        if not candidate.edits:
            return f"{plain(candidate.operator)}: {', '.join(change.path for change in candidate.whole)}"
        edit = candidate.edits[0]
        old = self.files[edit.path].text[edit.start : edit.end].strip()
        change = f"{old[:80]!r} -> {edit.text.strip()[:80]!r}"
        return f"{candidate.path}:{candidate.line} {plain(candidate.operator)}: {change}"
