"""One attempt at a task: baseline, targets, an engine's candidates, verification, evidence.

Works without any database or scheduler: what must be stored goes through the callbacks. All code of the
repository runs in the sandbox; this module reads files and makes decisions.
"""

import contextlib
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from core.work import (
    CandidateCounts,
    Evidence,
    Execution,
    Patch,
    Plan,
    PlanStep,
    StepKind,
    TaskContext,
    TaskText,
    TestRun,
)
from sandbox.protocol import Limits, Sandbox, SandboxUnavailable

from .baseline import Allowance, Baseline, measure
from .checkout import Checkout
from .choice import naturalness
from .diff import unified_diff
from .engine import Candidate, Engine, Observation, Problem
from .files import EditableFiles
from .gate import is_test_path
from .search import Search
from .spectrum import locations
from .targets import TargetSet, target_sets, test_source
from .test_command import NoTests, TestCommand, detect
from .validate import Bench
from .verify import Verification, verify
from .worker_client import Spare, Worker, WorkerDied

Record = Callable[[str, dict[str, Any]], None]
Revise = Callable[[Plan], None]

BATCH = 160
MAX_VERIFIED = 8
ENGINES: dict[str, Callable[[], Engine]] = {"search": Search}


class UnknownEngine(ValueError):
    """No engine has this name."""


class Stopped(Exception):
    """The task was cancelled or its lease lost."""


def _quiet(kind: str, body: dict[str, Any]) -> None:
    """Records nothing."""


def _never() -> bool:
    return False


def _unrevised(plan: Plan) -> None:
    """Stores nothing."""


def execute(
    task: TaskText,
    plan: Plan,
    context: TaskContext,
    checkout: Checkout,
    sandbox: Sandbox,
    *,
    engine: str = "search",
    record: Record = _quiet,
    revise: Revise = _unrevised,
    should_stop: Callable[[], bool] = _never,
    test_command: str | None = None,
    limits: Limits | None = None,
) -> Execution:
    """Looks for a patch within the plan's budget (narrowed by the repository's settings).

    `record(kind, body)` is called before the next action starts; `revise` with each new revision of the plan;
    `should_stop` is polled several times a second. `test_command` wins over `penstock.toml`'s. Raises
    `SandboxUnavailable` for infrastructure, `Stopped` when told to stop, `UnknownEngine`.
    """
    if engine not in ENGINES:
        raise UnknownEngine(f"there is no engine {engine!r}; known: {', '.join(sorted(ENGINES))}")
    attempt = _Attempt(task, plan, context, checkout, sandbox, ENGINES[engine](), record, revise, should_stop)
    attempt.given = test_command or checkout.settings.test
    memory = checkout.settings.limits.memory_mb
    attempt.limits = limits or Limits()
    if memory is not None and (memory << 20) < attempt.limits.memory_bytes:
        attempt.limits = _with_memory(attempt.limits, memory << 20)
    with contextlib.ExitStack() as stack:
        stack.callback(attempt.close)
        return attempt.run()


def _with_memory(limits: Limits, size: int) -> Limits:
    from dataclasses import replace

    return replace(limits, memory_bytes=size)


@dataclass
class _Attempt:
    task: TaskText
    plan: Plan
    context: TaskContext
    checkout: Checkout
    sandbox: Sandbox
    engine: Engine
    record: Record
    revise: Revise
    should_stop: Callable[[], bool]
    given: str | None = None
    limits: Limits = field(default_factory=Limits)
    notes: list[str] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)
    generated: int = 0
    tried: int = 0
    passed_targets: int = 0
    passed_suite: int = 0
    closest: list[tuple[int, str]] = field(default_factory=list)
    worker: Worker | None = None
    spare: Spare | None = None

    def __post_init__(self) -> None:
        self.started = time.monotonic()
        self.budget = self.checkout.settings.narrowed(self.plan.budget)
        self.deadline = self.started + self.budget.seconds
        self.files = EditableFiles(self.checkout.root, self.checkout.settings)
        self.notes.extend(self.checkout.notes)
        self.baseline: Baseline | None = None
        self.targets: TargetSet | None = None
        self.looked: tuple[Any, ...] = ()
        self.reserve = 2.0

    def close(self) -> None:
        if self.worker is not None:
            self.worker.close()
        if self.spare is not None:
            self.spare.close()

    @property
    def left(self) -> float:
        return self.deadline - time.monotonic()

    def check(self) -> None:
        if self.should_stop():
            raise Stopped("the task was cancelled, or its lease was lost")

    # -- the way through ----------------------------------------------------------------------------------

    def run(self) -> Execution:
        self.check()
        try:
            command = detect(self.checkout.root, self.given)
        except NoTests as reason:
            return self.unresolved(str(reason).capitalize() + ".")
        self.command = command
        self.record(
            "reproduce", {"command": list(command.shown), "why": command.why, "budget_seconds": self.budget.seconds}
        )
        try:
            baseline = self.measure(command)
        except WorkerDied as died:
            return self.unresolved(f"The test suite could not be run on the unchanged commit: {died}.")
        self.baseline = baseline
        self.notes.extend(baseline.notes)
        passed = len(baseline.run.outcomes) - len(baseline.run.failing())
        self.record(
            "observed",
            {"tests": len(baseline.run.outcomes), "failing": baseline.failing[:50], "seconds": baseline.run.seconds},
        )
        if not baseline.run.outcomes:
            return self.unresolved(
                f"No tests found: `{shlex.join(command.shown)}` collects nothing in this repository."
            )
        if not baseline.failing:
            return self.unresolved(
                f"Not reproduced: all {passed} tests pass or are skipped on the unchanged commit, so no test shows the problem. "
                "A test that fails because of it is needed."
            )
        sets = target_sets(self.checkout.root, baseline, self.task.text)
        for number, targets in enumerate(sets):
            found = self.attempt(targets, number, len(sets))
            if found is not None:
                return found
            if self.left < self.reserve or self.tried >= self.budget.candidates:
                break
        return self.unresolved(self.defeat())

    def open_worker(self) -> Worker:
        worker = Worker(self.sandbox, self.checkout.root, self.command, self.limits)
        try:
            for line in self.checkout.settings.setup:
                done = worker.session.run(
                    ["/bin/sh", "-c", line], limits=self.limits.with_wall(max(5.0, self.left / 4))
                )
                if not done.ok:
                    tail = (done.stderr or done.stdout)[-300:].decode(errors="replace").strip()
                    raise WorkerDied(f"set-up command {line!r} failed ({done.limit or done.exit_code}): {tail}")
        except BaseException:
            worker.close()
            raise
        return worker

    def measure(self, command: TestCommand) -> Baseline:
        began = time.monotonic()
        # The longest that any command of this attempt can take is what is left of its budget.
        wall = self.left + 30
        self.limits = Limits(**{**self.limits.__dict__, "wall_seconds": wall, "cpu_seconds": wall * 2})
        self.worker = self.open_worker()
        self.worker.start()
        self.spare = Spare(self.open_worker)
        allowance = self.allowance(0.45 * self.left)
        baseline = measure(self.worker, command, allowance)
        self.timings["baseline"] = round(time.monotonic() - began, 3)
        self.reserve = min(0.4 * self.budget.seconds, 1.5 * self.timings["baseline"] + 1.0)
        return baseline

    def allowance(self, seconds: float) -> Allowance:
        long = max(2.0, min(10.0, 0.1 * self.budget.seconds))
        return Allowance(
            seconds=max(1.0, seconds), short=min(2.0, long), long=long, deferred=max(2.0, 0.12 * self.budget.seconds)
        )

    def attempt(self, targets: TargetSet, number: int, sets: int) -> Execution | None:
        """Everything for one set of targets; None when it leads nowhere."""
        assert self.baseline is not None
        self.check()
        self.targets = targets
        began = time.monotonic()
        share = (self.left - self.reserve) / (sets - number) if sets - number > 1 else self.left - self.reserve
        until = time.monotonic() + max(share, 0.5 * (self.left - self.reserve) if number == 0 else share)
        problem = Problem(
            self.task.text,
            targets,
            self.baseline,
            self.context,
            self.files,
            {test: test_source(self.checkout.root, test) for test in targets.tests[:30]},
            self.should_stop,
        )
        if number:
            self.revised(f"The first {number} set(s) of failing tests led to no patch; now: {targets.why}")
        self.record("localise", {"targets": list(targets.tests[:50]), "why": targets.why})
        self.engine.start(problem)
        suspects = getattr(self.engine, "suspects", [])
        self.looked = locations(suspects)
        self.timings["localise"] = round(self.timings.get("localise", 0.0) + time.monotonic() - began, 3)
        self.record(
            "observed", {"suspicious": [f"{p.path}:{p.start_line} {p.symbol} {p.score}" for p in self.looked[:10]]}
        )
        if not suspects:
            return None
        survivors = self.search(problem, until)
        return self.settle(problem, survivors)

    def search(self, problem: Problem, until: float) -> list[Candidate]:
        """Tries candidates until some survive and no likelier one can come, or time or candidates run out."""
        assert self.baseline is not None and self.worker is not None
        began = time.monotonic()
        bench = Bench(self.worker, self.baseline, self.files)
        bench.aim(problem.targets.tests)
        survivors: list[Candidate] = []
        first_found = 0.0
        size = 40
        spent_before = self.tried
        while self.tried < self.budget.candidates and time.monotonic() < until:
            self.check()
            batch = self.engine.propose(min(size, self.budget.candidates - self.tried))
            if not batch:
                break
            if survivors and (batch[0].priority < 0.4 * survivors[0].priority or time.monotonic() > first_found):
                break
            self.record("try", {"candidates": len(batch), "operators": _tally(batch), "first": self.describe(batch[0])})
            try:
                observations = bench.try_all(batch, max(1.0, until - time.monotonic()))
            except WorkerDied as died:
                self.notes.append(f"The worker was restarted while candidates were tried: {died}.")
                self.tried += len(batch)
                if not self.restart(bench):
                    break
                continue
            self.tried += len(observations)
            found = [o.candidate for o in observations if o.status == "pass"]
            self.passed_targets += sum(1 for o in observations if o.status in ("pass", "regress"))
            self.remember(observations)
            if found and not survivors:
                first_found = time.monotonic() + max(0.25, 0.6 * (time.monotonic() - began))
            survivors.extend(found)
            self.record(
                "observed",
                {
                    "tried": len(observations),
                    "survivors": [self.describe(c) for c in found],
                    "status": _statuses(observations),
                },
            )
            self.engine.observe(observations)
            size = min(BATCH, size * 2)
        self.generated += self.tried - spent_before
        self.timings["search"] = round(self.timings.get("search", 0.0) + time.monotonic() - began, 3)
        if bench.leaky:
            self.notes.append(
                "Some candidates left traces in the process; later ones were each tried in a process of their own."
            )
        return survivors

    def restart(self, bench: Bench) -> bool:
        assert self.worker is not None
        self.worker.stop()
        try:
            self.worker.ask("open", min(30.0, max(5.0, self.left)), coverage=False, instrument_seconds=0)
        except WorkerDied:
            return False
        return True

    def settle(self, problem: Problem, survivors: list[Candidate]) -> Execution | None:
        """Verifies survivors, best first, and ends with the first that holds."""
        assert self.baseline is not None
        began = time.monotonic()
        ranked = sorted(survivors, key=lambda c: -naturalness(c, problem))
        for rank, candidate in enumerate(ranked[:MAX_VERIFIED]):
            if self.left < 0.5:
                break
            self.check()
            after = candidate.files(self.files)
            diff = unified_diff({path: self.files[path].text for path in after}, after)
            self.record("verify", {"patch": diff, "operator": candidate.operator, "rank": rank})
            spare, self.spare = self.spare, None
            try:
                worker = spare.take() if spare is not None else self.open_worker()
            except WorkerDied:
                break
            if rank + 1 < len(ranked):
                self.spare = Spare(self.open_worker)
            try:
                allowance = self.allowance(max(1.0, self.left - 0.5))
                result = verify(
                    worker, self.checkout, self.command, diff, after, problem.targets.tests, self.baseline, allowance
                )
            except WorkerDied as died:
                result = Verification(False, None, detail=str(died))
            finally:
                worker.close()
            self.timings["verify"] = round(self.timings.get("verify", 0.0) + time.monotonic() - began, 3)
            began = time.monotonic()
            accepted = result.accepts(problem.targets.tests, self.baseline.run)
            worse = result.worse(self.baseline.run)
            self.record(
                "observed",
                {"accepted": accepted, "applies": result.applies, "worse": worse[:20], "detail": result.detail},
            )
            if accepted:
                self.passed_suite += 1
                return self.resolved(problem, candidate, diff, result, ranked)
        return None

    # -- ends ---------------------------------------------------------------------------------------------

    def resolved(
        self, problem: Problem, candidate: Candidate, diff: str, result: Verification, ranked: list[Candidate]
    ) -> Execution:
        assert self.baseline is not None and result.after is not None
        if len(ranked) > 1:
            self.notes.append(f"{len(ranked)} candidates passed the failing tests; the most natural one was taken.")
        others = [t for t in self.baseline.failing if t not in problem.targets.tests]
        still = [t for t in others if result.after.outcomes.get(t) not in (None, "passed")]
        if still:
            self.notes.append(
                f"{len(still)} tests failed before and still fail; the issue does not speak of them: {', '.join(still[:3])}."
            )
        paths = tuple(candidate.files(self.files))
        evidence = self.evidence(
            applies=True,
            after=result.after,
            changed_paths=paths,
            flaky=(*self.baseline.flaky, *result.flaky),
            operator=candidate.operator,
        )
        symbol = self.files[candidate.path].symbol_at(candidate.line)
        where = f"`{symbol}` ({candidate.path}:{candidate.line})" if symbol else f"{candidate.path}:{candidate.line}"
        summary = (
            f"Changed {where}: {_plain(candidate.operator)}. {_tests(problem.targets.tests)} that failed now "
            f"{'passes' if len(problem.targets.tests) == 1 else 'pass'}, and the rest of the suite is no worse. "
            f"{self.tried} candidates were tried; {self.passed_targets} passed the failing tests."
        )
        return self.ended(Patch(base_commit=self.checkout.commit, diff=diff), evidence, summary)

    def unresolved(self, summary: str) -> Execution:
        return self.ended(None, self.evidence(), summary)

    def defeat(self) -> str:
        assert self.baseline is not None
        targets = self.targets.tests if self.targets else ()
        where = (
            ", ".join(dict.fromkeys(f"{p.symbol or p.path}" for p in self.looked[:6])) or "nothing that may be changed"
        )
        why = (
            "the budget ran out"
            if self.left < self.reserve or self.tried >= self.budget.candidates
            else "the operators are exhausted"
        )
        text = (
            f"No patch found; {why}. {_tests(targets)} that {'stands' if len(targets) == 1 else 'stand'} for the issue "
            f"{'was' if len(targets) == 1 else 'were'} reproduced ({', '.join(targets[:2])}). {self.tried} candidates were tried, "
            f"{self.passed_targets} made the failing tests pass but broke others. Looked at: {where}."
        )
        if self.closest:
            text += f" Closest: {self.closest[0][1]}."
        return text

    def ended(self, patch: Patch | None, evidence: Evidence, summary: str) -> Execution:
        seconds = round(time.monotonic() - self.started, 3)
        self.record("end", {"patch": patch.sha256 if patch else None, "summary": summary})
        return Execution(engine=self.engine.name, patch=patch, evidence=evidence, summary=summary, seconds=seconds)

    def evidence(self, **fields: Any) -> Evidence:
        before: TestRun | None = self.baseline.run if self.baseline else None
        reproduced = self.targets is not None and before is not None
        flaky = fields.pop("flaky", self.baseline.flaky if self.baseline else ())
        return Evidence(
            sandbox=self.sandbox.name,
            reproduction="tests" if reproduced else "none",
            target_tests=self.targets.tests if self.targets else (),
            before=before,
            allowed_paths=self.files.paths,
            candidates=CandidateCounts(
                generated=max(self.tried, int(getattr(self.engine, "generated", self.tried))),
                tried=self.tried,
                passed_failing_tests=self.passed_targets,
                passed_whole_suite=self.passed_suite,
            ),
            flaky=flaky,
            suspicious=self.looked,
            notes=tuple(dict.fromkeys([*self.notes, *self.files.notes])),
            timings={**self.timings, "total": round(time.monotonic() - self.started, 3)},
            **fields,
        )

    # -- small things --------------------------------------------------------------------------------------

    def revised(self, reason: str) -> None:
        step = PlanStep(kind=StepKind.EDIT, goal="Aim at other failing tests", detail=reason)
        self.plan = self.plan.model_copy(
            update={"revision": self.plan.revision + 1, "reason": reason, "steps": (*self.plan.steps, step)}
        )
        self.revise(self.plan)

    def remember(self, observations: list[Observation]) -> None:
        for observation in observations:
            gain = len(observation.passed) + (100 if observation.status == "regress" else 0)
            if gain:
                text = f"{_plain(observation.candidate.operator)} at {observation.candidate.path}:{observation.candidate.line}"
                text += (
                    f" (breaks {observation.broken})"
                    if observation.broken
                    else f" ({len(observation.passed)} of the tests pass)"
                )
                self.closest.append((gain, text))
        self.closest.sort(key=lambda item: -item[0])
        del self.closest[5:]

    def describe(self, candidate: Candidate) -> str:
        edit = candidate.edits[0]
        old = self.files[edit.path].text[edit.start : edit.end].strip()
        return f"{candidate.path}:{candidate.line} {candidate.operator}: {old[:80]!r} -> {edit.text.strip()[:80]!r}"


def _plain(operator: str) -> str:
    return operator.replace(":", " ").replace("+", " and ").replace("-", " ")


def _tests(tests: tuple[str, ...]) -> str:
    return "1 test" if len(tests) == 1 else f"{len(tests)} tests"


def _tally(candidates: list[Candidate]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for candidate in candidates:
        counts[candidate.operator] = counts.get(candidate.operator, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1])[:8])


def _statuses(observations: list[Observation]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for observation in observations:
        counts[observation.status] = counts.get(observation.status, 0) + 1
    return counts


__all__ = ["ENGINES", "SandboxUnavailable", "Stopped", "UnknownEngine", "execute", "is_test_path"]
