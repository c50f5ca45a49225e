"""One attempt at a task: baseline, targets, an engine's candidates, verification, evidence.

Works without any database or scheduler: what must be stored goes through the callbacks. All code of the
repository runs in the sandbox; this module reads files and makes decisions.
"""

import shlex
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from assets.executions.engines.model.engine import ModelEngine
from assets.executions.engines.model.options import ModelOptions
from assets.executions.engines.model.tools import SearchIndex
from assets.executions.engines.protocol import Engine, Problem
from assets.executions.engines.search.engine import Search
from assets.executions.engines.search.spectrum import locations
from assets.executions.judging.diff import changed_lines
from assets.executions.trial.worker_client import Worker, WorkerDied
from core.chat.protocol import ChatModel
from core.work import Execution, Plan, TaskContext, TaskText
from sandbox.protocol import Limits, Sandbox

from .baseline import Baseline
from .checkout import Checkout
from .reproduce import looking_inside, measured, unreproduced
from .settle import settle
from .state import AttemptState, Record, Revise
from .targets import TargetSet, target_sets, test_source
from .test_command import NoTests, detect
from .try_candidates import try_candidates

ENGINES = ("search", "model")


class UnknownEngine(ValueError):
    """No engine has this name, or it lacks what it works with."""


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
    attempt = AttemptState(task, plan, context, checkout, sandbox, made, record, revise, stop, given)
    attempt.limits = limits or Limits()
    memory = checkout.settings.limits.memory_mb
    if memory is not None and (memory << 20) < attempt.limits.memory_bytes:
        attempt.limits = replace(attempt.limits, memory_bytes=memory << 20)
    try:
        ended = _run(attempt)
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


def _run(attempt: AttemptState) -> Execution:
    attempt.check()
    try:
        attempt.command = detect(attempt.checkout.root, attempt.given)
        if attempt.command.runner == "command":
            # A black box says only yes or no: our own runner looks inside, the box has the last word.
            attempt.box, attempt.command = attempt.command, looking_inside(attempt)
    except NoTests as reason:
        return attempt.findings.ended(None, str(reason)[0].upper() + str(reason)[1:] + ".")
    shown = (attempt.box or attempt.command).shown
    attempt.record("reproduce", {"command": list(shown), "why": attempt.command.why, "budget": attempt.budget.seconds})
    try:
        worker, baseline = measured(attempt)
    except WorkerDied as died:
        return attempt.findings.ended(None, f"The suite could not be run on the unchanged commit: {died}.")
    attempt.record(
        "observed",
        {
            "tests": len(baseline.run.outcomes),
            "failing": baseline.failing[:50],
            "seconds": baseline.run.seconds,
            "notes": list(baseline.notes),
        },
    )
    if not baseline.run.outcomes:
        return attempt.findings.ended(None, f"No tests found: `{shlex.join(shown)}` collects nothing.")
    if not baseline.failing:
        return unreproduced(attempt, baseline)
    attempt.findings.reproduction = attempt.reproduction
    sets = target_sets(attempt.checkout.root, baseline, attempt.task.text)
    for number, targets in enumerate(sets):
        found = _aim(attempt, worker, baseline, targets, number, len(sets))
        if found is not None:
            return found
        if attempt.exhausted or (attempt.engine.deliberate and attempt.engine.ending):
            break
    why = "the budget is spent" if attempt.exhausted else attempt.engine.ending
    return attempt.findings.ended(None, attempt.findings.defeat(why))


def _aim(
    attempt: AttemptState, worker: Worker, baseline: Baseline, targets: TargetSet, number: int, sets: int
) -> Execution | None:
    """Everything for one set of targets; None when it leads nowhere."""
    attempt.check()
    began = time.monotonic()
    usable = attempt.left - attempt.reserve
    share = usable if number == sets - 1 else usable * (0.5 if number == 0 else 1 / (sets - number))
    if attempt.engine.deliberate:
        share = usable  # it is asked once, about the likeliest tests
    attempt.findings.targets = targets
    if number:
        attempt.revised(f"{number} other set(s) of failing tests led to no patch. {targets.why}")
    attempt.record("localise", {"targets": list(targets.tests[:50]), "why": targets.why})
    problem = Problem(
        attempt.task.text,
        targets,
        baseline,
        attempt.context,
        attempt.files,
        {test: test_source(attempt.checkout.root, test) for test in targets.tests[:30]},
        attempt.should_stop,
        attempt.checkout.root,
        began + share,
        attempt.record,
        attempt.files.refusal,
    )
    attempt.engine.start(problem)
    suspects = attempt.engine.suspects
    attempt.findings.looked = locations(suspects)
    attempt.findings.spent("localise", began)
    places = [f"{p.path}:{p.start_line} {p.symbol} {p.score}" for p in attempt.findings.looked]
    attempt.record("observed", {"suspicious": places})
    if not suspects and not attempt.engine.deliberate:
        return None
    while True:
        survivors = try_candidates(attempt, worker, problem, problem.until)
        found, rejected = settle(attempt, problem, survivors)
        if found is not None or not rejected or not attempt.engine.deliberate or attempt.exhausted:
            return found
        attempt.engine.observe(rejected)
