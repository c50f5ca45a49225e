"""One attempt at a task: baseline, targets, an engine's candidates, verification, evidence.

Works without any database or scheduler: what must be stored goes through the callbacks. All code of the
repository runs in the sandbox; this module reads files and makes decisions.
"""

import shlex
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import Any

from core.chat.protocol import ChatModel
from core.work import Execution, Outcome, Patch, Plan, PlanStep, StepKind, TaskContext, TaskText
from sandbox.protocol import Limits, Sandbox

from .baseline import Allowance, Baseline, measure
from .checkout import Checkout
from .choice import naturalness
from .diff import changed_lines, unified_diff
from .engine import Candidate, Engine, Observation, Problem
from .files import EditableFiles
from .findings import Findings, plain, statuses, tally, tests_in_words
from .issue_examples import EXAMPLE_FILE, example_tests
from .model.engine import ModelEngine
from .model.options import ModelOptions
from .model.tools import SearchIndex
from .search import Search
from .spectrum import locations
from .targets import TargetSet, target_sets, test_source
from .test_command import COMMAND_FILE, NoTests, TestCommand, command_id, command_test, detect
from .validate import Bench
from .verify import Verification, run_command, verify
from .worker_client import Spare, Worker, WorkerDied

Record = Callable[[str, dict[str, Any]], None]
Revise = Callable[[Plan], None]

FIRST_BATCH, BATCH = 40, 160
MAX_VERIFIED = 8
CONVINCING = 0.35
"""Naturalness from which a survivor is believed soon."""
ENGINES = ("search", "model")


class UnknownEngine(ValueError):
    """No engine has this name, or it lacks what it works with."""


class Stopped(Exception):
    """The task was cancelled or its lease lost."""


def _quiet(kind: str, body: dict[str, Any]) -> None:
    """Records nothing."""


def _unrevised(plan: Plan) -> None:
    """Stores nothing."""


def _never() -> bool:
    return False


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
    chat: ChatModel | None = None,
    options: ModelOptions | None = None,
    index: SearchIndex | None = None,
    families: Collection[str] | None = None,
) -> Execution:
    """Looks for a patch within the plan's budget (narrowed by the repository's settings).

    `record(kind, body)` is called before the next action starts; `revise` with each new revision of the plan;
    `should_stop` is polled several times a second. `test_command` wins over `penstock.toml`'s. The engine `model`
    needs `chat`; `options` bound it, `index` searches the repository for it. `families`
    of operators narrow `search`. Raises `SandboxUnavailable` and
    `ChatUnavailable` for infrastructure, `Stopped` when told to stop, `UnknownEngine`, `UnknownPrompts`.
    """
    made = Search(families) if engine == "search" else _engine(engine, chat, options or ModelOptions(), index)
    given = test_command or checkout.settings.test
    stop = _throttled(should_stop)
    attempt = _Attempt(task, plan, context, checkout, sandbox, made, record, revise, stop, given)
    attempt.limits = limits or Limits()
    memory = checkout.settings.limits.memory_mb
    if memory is not None and (memory << 20) < attempt.limits.memory_bytes:
        attempt.limits = replace(attempt.limits, memory_bytes=memory << 20)
    try:
        ended = attempt.run()
    finally:
        attempt.close()
    use = made.use
    ended = ended.model_copy(
        update={
            "iterations": use.steps if use else ended.evidence.candidates.tried,
            "changed_lines": changed_lines(ended.patch.diff) if ended.patch else 0,
            "model": use,
        }
    )
    record("end", {"patch": ended.patch.sha256 if ended.patch else None, "summary": ended.summary,
                   "iterations": ended.iterations, "model": use.model_dump() if use else None})  # fmt: skip
    return ended


def _engine(name: str, chat: ChatModel | None, options: ModelOptions, index: SearchIndex | None) -> Engine:
    if name != "model":
        raise UnknownEngine(f"there is no engine {name!r}; known: {', '.join(ENGINES)}")
    if chat is None:
        raise UnknownEngine("engine 'model' needs a chat model: name one with the setting chat_model")
    return ModelEngine(chat, options, index)


def _throttled(ask: Callable[[], bool], seconds: float = 0.2) -> Callable[[], bool]:
    """Asks at most every so many seconds, since the question may go to a database; "yes" stays."""
    asked_at = 0.0
    answer = False

    def stop() -> bool:
        nonlocal asked_at, answer
        if not answer and time.monotonic() - asked_at >= seconds:
            answer, asked_at = ask(), time.monotonic()
        return answer

    return stop


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
        self.extra: dict[str, bytes] = {}
        self.reproduction = "tests"
        self.workers: list[Worker] = []
        self.spare: Spare | None = None

    def close(self) -> None:
        for worker in self.workers:
            worker.close()
        if self.spare is not None:
            self.spare.close()

    @property
    def left(self) -> float:
        return self.deadline - time.monotonic()

    def check(self) -> None:
        if self.should_stop():
            raise Stopped("the task was cancelled, or its lease was lost")

    # -- baseline -----------------------------------------------------------------------------------------

    def run(self) -> Execution:
        self.check()
        try:
            self.command = detect(self.checkout.root, self.given)
            if self.command.runner == "command":
                # A black box says only yes or no: our own runner looks inside, the box has the last word.
                self.box, self.command = self.command, self.looking_inside()
        except NoTests as reason:
            return self.findings.ended(None, str(reason)[0].upper() + str(reason)[1:] + ".")
        shown = (self.box or self.command).shown
        self.record("reproduce", {"command": list(shown), "why": self.command.why, "budget": self.budget.seconds})
        try:
            worker, baseline = self.measured()
        except WorkerDied as died:
            return self.findings.ended(None, f"The suite could not be run on the unchanged commit: {died}.")
        self.record(
            "observed",
            {
                "tests": len(baseline.run.outcomes),
                "failing": baseline.failing[:50],
                "seconds": baseline.run.seconds,
                "notes": list(baseline.notes),
            },
        )
        if not baseline.run.outcomes:
            return self.findings.ended(None, f"No tests found: `{shlex.join(shown)}` collects nothing.")
        if not baseline.failing:
            return self.unreproduced(baseline)
        self.findings.reproduction = self.reproduction
        sets = target_sets(self.checkout.root, baseline, self.task.text)
        for number, targets in enumerate(sets):
            found = self.attempt(worker, baseline, targets, number, len(sets))
            if found is not None:
                return found
            if self.exhausted or (self.engine.deliberate and self.engine.ending):
                break
        why = "the budget is spent" if self.exhausted else self.engine.ending
        return self.findings.ended(None, self.findings.defeat(why))

    def looking_inside(self) -> TestCommand:
        """Our own runner beside a black box; one that collects nothing where the box is all there is."""
        try:
            return detect(self.checkout.root, None)
        except NoTests:
            return detect(self.checkout.root, "python -m pytest")

    @property
    def exhausted(self) -> bool:
        return self.left < self.reserve or self.findings.tried >= self.budget.candidates

    def unreproduced(self, baseline: Baseline) -> Execution:
        ran = len(baseline.run.outcomes)
        flaky = f" ({len(baseline.flaky)} gave different results each time)" if baseline.flaky else ""
        text = f"Not reproduced: none of the {ran} tests fails reliably on the unchanged commit{flaky}"
        if EXAMPLE_FILE in self.extra:
            text += ", nor do the examples in the issue"
        return self.findings.ended(None, f"{text}. A test that fails because of the problem is needed.")

    def measured(self) -> tuple[Worker, Baseline]:
        """The suite's baseline; when no test fails, once more with the issue's own examples as tests."""
        began = time.monotonic()
        # The longest that any one process of this attempt can take is what is left of its budget.
        wall = self.left + 30
        self.limits = replace(self.limits, wall_seconds=wall, cpu_seconds=2 * wall)
        worker = self.open_worker()
        worker.start()
        worker.wait(self.left)
        # Not before: two interpreters that start at once on few cores are both late.
        self.spare = Spare(self.open_worker)
        allowance = self.allowance(0.45 * self.left)
        baseline = measure(worker, self.command, allowance)
        if self.box is not None:
            baseline = baseline.with_outcome(*run_command(worker, self.box, allowance))
        if not baseline.failing and baseline.run.outcomes:
            worker, baseline = self.reproduced_otherwise(worker, baseline)
        self.findings.baseline = baseline
        self.findings.notes.extend(baseline.notes)
        self.findings.spent("baseline", began)
        self.reserve = min(0.4 * self.budget.seconds, 1.5 * self.findings.timings["baseline"] + 1.0)
        return worker, baseline

    def reproduced_otherwise(self, worker: Worker, baseline: Baseline) -> tuple[Worker, Baseline]:
        """For when no test of the suite fails: the given command as a whole, else the issue's own examples."""
        if self.box is not None and baseline.run.outcomes[command_id(self.box)] is Outcome.FAILED:
            name, content = COMMAND_FILE, command_test(self.box.arguments[0], self.budget.seconds / 4)
            why = "The given command fails although no single test does; it was taken as one test."
        else:
            examples = example_tests(self.task.text, self.files)
            if examples is None:
                return worker, baseline
            name, content = EXAMPLE_FILE, examples
            self.reproduction = "issue"
            why = "No test fails; the examples in the issue were taken as tests."
        self.record("reproduce", {"command": [name], "why": why})
        self.findings.notes.append(why)
        self.extra = {name: content.encode()}
        self.command = self.command.with_file(name)
        worker = self.open_worker()
        if self.spare is not None:
            self.spare.close()
        self.spare = Spare(self.open_worker)
        again = measure(worker, self.command, self.allowance(0.3 * self.left))
        if self.box is not None:
            again = again.with_outcome(*run_command(worker, self.box, self.allowance(0.3 * self.left)))
        return worker, again

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
        long = max(2.0, min(5.0, 0.1 * self.budget.seconds))
        deferred = max(2.0, 0.12 * self.budget.seconds)
        return Allowance(seconds=max(1.0, seconds), short=min(1.0, long), long=long, deferred=deferred)

    # -- search -------------------------------------------------------------------------------------------

    def attempt(
        self, worker: Worker, baseline: Baseline, targets: TargetSet, number: int, sets: int
    ) -> Execution | None:
        """Everything for one set of targets; None when it leads nowhere."""
        self.check()
        began = time.monotonic()
        usable = self.left - self.reserve
        share = usable if number == sets - 1 else usable * (0.5 if number == 0 else 1 / (sets - number))
        if self.engine.deliberate:
            share = usable  # it is asked once, about the likeliest tests
        self.findings.targets = targets
        if number:
            self.revised(f"{number} other set(s) of failing tests led to no patch. {targets.why}")
        self.record("localise", {"targets": list(targets.tests[:50]), "why": targets.why})
        problem = Problem(
            self.task.text,
            targets,
            baseline,
            self.context,
            self.files,
            {test: test_source(self.checkout.root, test) for test in targets.tests[:30]},
            self.should_stop,
            self.checkout.root,
            began + share,
            self.record,
            self.files.refusal,
        )
        self.engine.start(problem)
        suspects = self.engine.suspects
        self.findings.looked = locations(suspects)
        self.findings.spent("localise", began)
        places = [f"{p.path}:{p.start_line} {p.symbol} {p.score}" for p in self.findings.looked]
        self.record("observed", {"suspicious": places})
        if not suspects and not self.engine.deliberate:
            return None
        while True:
            survivors = self.search(worker, problem, problem.until)
            found, rejected = self.settle(problem, survivors)
            if found is not None or not rejected or not self.engine.deliberate or self.exhausted:
                return found
            self.engine.observe(rejected)

    def search(self, worker: Worker, problem: Problem, until: float) -> list[Candidate]:
        """Tries candidates until some survive and no likelier one can come, or time or candidates run out."""
        began = time.monotonic()
        bench = Bench(worker, problem.baseline, self.files, self.engine.deliberate)
        bench.aim(problem.targets.tests)
        survivors: list[Candidate] = []
        first_found, tried_at_first = 0.0, 0
        size = FIRST_BATCH
        while time.monotonic() < until and self.findings.tried < self.budget.candidates:
            self.check()
            batch = self.engine.propose(min(size, self.budget.candidates - self.findings.tried))
            if not batch and (survivors or not bench.waiting):
                break
            following = (batch or bench.waiting)[0]
            compared = self.findings.tried - tried_at_first
            since = time.monotonic() - first_found
            if survivors and self.enough(problem, survivors, following, compared, since, first_found - began):
                break
            first = self.describe(following)
            self.record("try", {"candidates": len(batch), "operators": tally(batch), "first": first})
            try:
                observations = bench.try_all(batch, max(0.5, until - time.monotonic()))
            except WorkerDied as died:
                self.findings.notes.append(f"The worker was restarted while candidates were tried: {died}.")
                self.findings.tried += len(batch)
                if not self.restarted(worker):
                    break
                self.engine.observe([Observation(candidate, "crash", signature=str(died)) for candidate in batch])
                continue
            self.findings.count(observations)
            found = [o.candidate for o in observations if o.status == "pass"]
            if found and not survivors:
                first_found, tried_at_first = time.monotonic(), self.findings.tried
            survivors.extend(found)
            outcome = {"tried": len(observations), "status": statuses(observations)}
            self.record("observed", {**outcome, "survivors": [self.describe(c) for c in found]})
            self.engine.observe(observations)
            size = min(BATCH, size * 2)
        self.check()
        self.findings.generated += self.engine.generated
        if self.engine.faults:
            self.findings.notes.append(f"{len(self.engine.faults)} operators failed, first {self.engine.faults[0]}.")
        self.findings.spent("search", began)
        if bench.leaky:
            self.findings.notes.append(
                "Some candidates left traces in the process, so later ones were each tried in a process of their own."
            )
        return survivors

    def enough(
        self,
        problem: Problem,
        survivors: list[Candidate],
        following: Candidate,
        compared: int,
        since: float,
        took: float,
    ) -> bool:
        """Whether to stop comparing: soon after a natural survivor, later when all of them look contrived."""
        best = max(naturalness(c, problem) for c in survivors)
        if best >= CONVINCING:
            enough = compared >= 150 and since > max(0.2, 0.5 * took)
            return following.priority < 0.5 * best or enough or since > 3.0
        enough = compared >= 400 and since > max(0.5, 2.0 * took)
        return following.priority < 0.3 * best or enough or since > 6.0

    def restarted(self, worker: Worker) -> bool:
        worker.stop()
        try:
            worker.ask("open", min(30.0, max(5.0, self.left)), coverage=False, instrument_seconds=0)
        except WorkerDied:
            return False
        return True

    # -- verification -------------------------------------------------------------------------------------

    def settle(self, problem: Problem, survivors: list[Candidate]) -> tuple[Execution | None, list[Observation]]:
        """Verifies survivors, best first, and ends with the first that holds; and why the others do not."""
        rejected: list[Observation] = []
        ranked = sorted(survivors, key=lambda c: -naturalness(c, problem))
        for rank, candidate in enumerate(ranked[:MAX_VERIFIED]):
            if self.left < 0.5:
                break
            self.check()
            after = candidate.files(self.files)
            diff = unified_diff(candidate.before(self.files), after)
            self.record("verify", {"patch": diff, "operator": candidate.operator, "rank": rank})
            result = self.verified(problem, diff, after, more=rank + 1 < len(ranked))
            accepted = result.accepts(problem.targets.tests, problem.baseline.run)
            worse = result.worse(problem.baseline.run)
            observed = {"accepted": accepted, "applies": result.applies, "worse": worse[:20], "detail": result.detail}
            self.record("observed", observed)
            if accepted:
                return self.resolved(problem, candidate, diff, result, len(ranked)), rejected
            broken = ", ".join(worse[:5]) or "what passed while it was tried"
            rejected.append(Observation(candidate, "regress", broken=broken, said=result.said(worse)))
        return None, rejected

    def verified(self, problem: Problem, diff: str, after: dict[str, str | None], *, more: bool) -> Verification:
        began = time.monotonic()
        spare, self.spare = self.spare, None
        worker = None
        try:
            worker = spare.take() if spare is not None else self.open_worker()
            if more:
                self.spare = Spare(self.open_worker)
            allowance = self.allowance(self.left - 0.5)
            targets = problem.targets.tests
            return verify(
                worker, self.checkout, self.command, diff, after, targets, problem.baseline, allowance, self.box
            )
        except WorkerDied as died:
            return Verification(False, None, detail=str(died))
        finally:
            if worker is not None:
                worker.close()
            self.findings.spent("verify", began)

    def resolved(
        self, problem: Problem, candidate: Candidate, diff: str, result: Verification, survivors: int
    ) -> Execution:
        notes = self.findings.notes
        self.findings.passed_suite += 1
        if survivors > 1:
            notes.append(f"{survivors} candidates passed the failing tests; the most natural one was taken.")
        after = result.after.outcomes if result.after else {}
        others = [t for t in problem.baseline.failing if t not in problem.targets.tests]
        still = tuple(t for t in others if after.get(t) not in (None, "passed"))
        if still:
            notes.append(f"{tests_in_words(still)} failed before for another reason and still fail: {still[0]}.")
        return self.findings.ended(
            Patch(base_commit=self.checkout.commit, diff=diff),
            self.findings.victory(candidate),
            applies=True,
            after=result.after,
            changed_paths=tuple(candidate.files(self.files)),
            flaky=(*problem.baseline.flaky, *result.flaky),
            operator=candidate.operator,
        )

    # -- small things --------------------------------------------------------------------------------------

    def revised(self, reason: str) -> None:
        step = PlanStep(kind=StepKind.EDIT, goal="Aim at other failing tests", detail=reason)
        self.plan = self.plan.model_copy(
            update={"revision": self.plan.revision + 1, "reason": reason, "steps": (*self.plan.steps, step)}
        )
        self.revise(self.plan)

    def describe(self, candidate: Candidate) -> str:
        if not candidate.edits:
            return f"{plain(candidate.operator)}: {', '.join(change.path for change in candidate.whole)}"
        edit = candidate.edits[0]
        old = self.files[edit.path].text[edit.start : edit.end].strip()
        change = f"{old[:80]!r} -> {edit.text.strip()[:80]!r}"
        return f"{candidate.path}:{candidate.line} {plain(candidate.operator)}: {change}"
