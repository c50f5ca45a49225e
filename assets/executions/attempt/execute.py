"""One attempt at a task from beginning to end: baseline, targets, an engine's candidates, verification, the gate.

Works without a database or scheduler: callbacks store what must be stored. All code of the repository runs
in the sandbox; this module only reads files and decides.
"""

import shlex
from collections import deque

from assets.executions.attempt.candidate_runner import CandidateRunner
from assets.executions.attempt.checks import Checking
from assets.executions.attempt.covering import coverage
from assets.executions.attempt.journal import BEGIN
from assets.executions.attempt.native_runner import NativeRunner
from assets.executions.attempt.reproduce import (
    find_tests,
    measure_baseline,
    measure_with_derived_test,
    not_reproduced,
    question_of,
)
from assets.executions.attempt.state import AttemptInput, AttemptState, Callbacks, OtherLanguage
from assets.executions.attempt.survivors import verify_survivors
from assets.executions.attempt.try_candidates import Accepted, TargetSearch, try_candidates
from assets.executions.engines.protocol import Coverage, Engine, Problem
from assets.executions.engines.search.spectrum import locations
from assets.executions.judging.diff import changed_lines, without
from assets.executions.repository.test_command import COMMAND_FILE, NoTests
from assets.executions.trial.baseline import Baseline
from assets.executions.trial.targets import Targets, TargetSet, made_targets, test_source
from assets.executions.trial.worker_client import Worker, WorkerDied
from core.work import Execution, Outcome, VerdictKind
from sandbox.environments.wanted import EnvironmentRefused
from sandbox.protocol import Sandbox


def execute(given: AttemptInput, engine: Engine, sandbox: Sandbox, callbacks: Callbacks) -> Execution:
    """Searches for a patch within the plan's budget and the limits of the repository's settings.

    Raises `SandboxUnavailable` or `ChatUnavailable` when infrastructure fails, and `Stopped` when
    `callbacks.should_stop` returns true.
    """
    attempt = AttemptState(given, engine, sandbox, callbacks)
    attempt.record(BEGIN, {"engine": engine.name, "seconds": attempt.budget.seconds})
    try:
        ended = _run_attempt(attempt)
    finally:
        attempt.close()
    use = engine.use
    ended = ended.model_copy(
        update={
            "iterations": use.steps if use else ended.evidence.candidates.tried,
            "changed_lines": changed_lines(without(ended.patch.diff, attempt.derived)) if ended.patch else 0,
            "model": use,
        }
    )
    attempt.planning.ended(attempt.journal.last, patch=ended.patch is not None)
    attempt.record("end", {"patch": ended.patch.sha256 if ended.patch else None, "summary": ended.summary,
                           "iterations": ended.iterations, "model": use.model_dump() if use else None})  # fmt: skip
    return ended


def _run_attempt(attempt: AttemptState) -> Execution:
    """Reproduces the problem, then searches for a patch for one set of failing tests after the other."""
    attempt.check()
    findings = attempt.findings
    try:
        attempt.open_environment()
    except OtherLanguage as reason:
        return findings.ended(None, str(reason))
    except EnvironmentRefused as refused:
        attempt.record("environment", {"refused": str(refused)})
        return findings.ended(None, f"{refused} No test was run.")
    try:
        find_tests(attempt)
    except NoTests as reason:
        return findings.ended(None, str(reason)[0].upper() + str(reason)[1:] + ".")
    shown = (attempt.black_box or attempt.command).shown
    attempt.record("reproduce", {"command": list(shown), "why": attempt.command.why, "budget": attempt.budget.seconds})
    try:
        worker, baseline = measure_baseline(attempt)
    except WorkerDied as died:
        return findings.ended(None, f"The suite could not be run on the unchanged commit: {died}.")
    seen = attempt.seen
    if not baseline.run.outcomes:
        return _given_up(attempt, seen, f"No tests found: `{shlex.join(shown)}` collects nothing.")
    if not baseline.failing:
        summary = not_reproduced(attempt, baseline)
        return _given_up(attempt, seen, summary, baseline, question=question_of(attempt, baseline))
    if COMMAND_FILE in attempt.extra:
        sets = [made_targets(baseline, "the command that was given to judge the task fails", COMMAND_FILE)]
    elif attempt.derived:
        sets = _derived_targets(attempt, baseline)
    else:
        targets = Targets(attempt.checkout.root, baseline, attempt.task)
        sets = targets.sets()
        if not sets:
            seen = attempt.record("observed", {"unrelated": baseline.failing[:50]})
            asked = targets.question()
            try:
                measured = measure_with_derived_test(attempt, baseline)
            except WorkerDied as died:
                summary = f"{asked} The test derived from the issue could not be run: {died}."
                return _given_up(attempt, seen, summary, question=asked)
            if measured is None:
                asked = f"{asked} {attempt.lacking}".strip()
                return _given_up(attempt, seen, asked, baseline, question=asked)
            worker, baseline = measured
            sets = _derived_targets(attempt, baseline)
    if not sets:
        summary = not_reproduced(attempt, baseline)
        return _given_up(attempt, seen, summary, baseline, question=question_of(attempt, baseline))
    attempt.planning.reproduced(seen, baseline, sets, list(attempt.derived))
    findings.reproduction = "issue" if attempt.derived else "tests"
    attempt.choose_engine()
    return _search_target_sets(attempt, worker, baseline, sets)


def _given_up(
    attempt: AttemptState, seen: int, summary: str, baseline: Baseline | None = None, *, question: str = ""
) -> Execution:
    """Ends an attempt in which nothing shows the problem, with the question of what is missing."""
    attempt.planning.not_reproduced(seen, summary, baseline)
    return attempt.findings.ended(None, summary, question=question)


def _derived_targets(attempt: AttemptState, baseline: Baseline) -> list[TargetSet]:
    """The failing tests of those that were derived from the issue; empty when none fails in the whole suite."""
    made = [
        made_targets(baseline, "the tests are what the task says of its own examples", path) for path in attempt.derived
    ]
    return [targets for targets in made if targets.tests]


def _search_target_sets(attempt: AttemptState, worker: Worker, baseline: Baseline, sets: list[TargetSet]) -> Execution:
    """Searches within a share of the time for each set of failing tests, then continues searches that were cut short
    in the time left over."""
    engine = attempt.engine
    waiting = deque(sets)
    begun: dict[TargetSet, TargetSearch] = {}
    while True:
        attempt.check()
        targets = waiting.popleft()
        usable = attempt.left - attempt.reserve
        share = 1 / (len(waiting) + 1) if begun or not waiting else 0.5
        if engine.deliberate:
            share = 1.0  # all the time goes to the likeliest tests
        until = attempt.journal.now() + max(share * usable, min(usable, 1.0))
        attempt.findings.targets = targets
        if begun:
            seen = attempt.record("targets", {"tests": list(targets.tests[:50]), "why": targets.why})
            attempt.planning.other_tests(seen, targets, len(begun))
        if targets not in begun:
            begun[targets] = _start_search(attempt, worker, baseline, targets, until)
        search = begun[targets]
        found = _continue_search(attempt, search, until) or _best_draft(search)
        if found is not None:
            _note_choice(attempt, search, found)
            draft = found.verdict.verdict is VerdictKind.DRAFT
            summary = attempt.findings.patch_summary(found.candidate, draft=draft)
            return attempt.findings.ended(found.patch, summary, found.evidence)
        if not search.complete and not engine.deliberate and attempt.left > attempt.reserve + 1.0:
            waiting.append(targets)
        ending = attempt.spent or search.broken or (engine.ending if engine.deliberate else "")
        if ending or not waiting:
            cut_short = not all(search.complete for search in begun.values())
            ending = ending or (attempt.time_is_spent if cut_short else engine.ending)
            return attempt.findings.ended(None, attempt.findings.no_patch_summary(ending))


def _start_search(
    attempt: AttemptState, worker: Worker, baseline: Baseline, targets: TargetSet, until: float
) -> TargetSearch:
    """Starts the engine on one set of failing tests."""
    began = attempt.journal.now()
    attempt.record("localise", {"targets": list(targets.tests[:50]), "why": targets.why})
    language = attempt.native.language.name if attempt.native else "python"
    check = Checking(attempt.checkout.root, language, lambda: runner.worker, lambda: attempt.left)

    def cover() -> Coverage | None:
        return coverage(attempt, worker, baseline, targets.tests)

    problem = Problem(
        issue=attempt.issue,
        spoken=attempt.listen,
        already=len(attempt.spoken),
        targets=targets,
        baseline=baseline,
        context=attempt.context,
        sources=attempt.files,
        test_sources={t: test_source(attempt.checkout.root, t, attempt.derived) for t in targets.tests[:30]},
        should_stop=attempt.should_stop,
        root=attempt.checkout.root,
        until=until,
        clock=attempt.journal.now,
        perform=attempt.journal.perform,
        record=attempt.record,
        refusal=attempt.files.refusal,
        search=attempt.search,
        check=check,
        cover=cover if attempt.native else None,
        language=attempt.native.language.title if attempt.native else "Python",
        suffixes=attempt.native.language.suffixes if attempt.native else (".py",),
    )
    engine = attempt.engine.start(problem)
    trying = NativeRunner if attempt.native and not engine.deliberate else CandidateRunner
    runner = trying(worker, baseline, attempt.files, engine.deliberate)
    runner.set_targets(targets.tests)
    attempt.findings.suspicious = locations(engine.suspects)
    attempt.findings.spent("localise", began)
    places = [f"{p.path}:{p.start_line} {p.symbol} {p.score}" for p in attempt.findings.suspicious]
    seen = attempt.record("observed", {"suspicious": places})
    attempt.planning.located(seen, attempt.findings.suspicious, baseline, targets)
    return TargetSearch(problem, engine, runner)


def _continue_search(attempt: AttemptState, search: TargetSearch, until: float) -> Accepted | None:
    """Tries candidates and verifies survivors until one passes the gate, none is left, or time runs out. Those that are
    good for a draft only are left in `search.drafts`."""
    attempt.findings.suspicious = locations(search.engine.suspects)
    while True:
        try_candidates(attempt, search, until)
        if not search.survivors:
            return None
        found, told = verify_survivors(attempt, search)
        if found is not None or search.broken:
            return found
        search.engine.observe(told)
        search.complete = False
        drafted = search.drafts and (search.engine.deliberate or attempt.native)
        if attempt.journal.now() >= until or drafted:
            return None


def _best_draft(search: TargetSearch) -> Accepted | None:
    """The draft with the fewest reasons against it, the most natural of those."""
    return min(search.drafts, key=lambda draft: len(draft.verdict.reasons), default=None)


def _fails_as_before(tests: tuple[str, ...], most: int = 3) -> str:
    """Names tests that the patch leaves as they were."""
    more = f" and {len(tests) - most} more" if len(tests) > most else ""
    fail = "fails" if len(tests) == 1 else "fail"
    return f"Not about this task, and as before {fail}: {', '.join(tests[:most])}{more}."


def _note_choice(attempt: AttemptState, search: TargetSearch, found: Accepted) -> None:
    """Notes that one of several candidates was chosen, and which tests fail as before."""
    findings, baseline = attempt.findings, search.problem.baseline
    if findings.survivors > 1:
        findings.notes.append(
            f"{findings.survivors} candidates passed the failing tests; the most natural one that the gate accepts "
            "was chosen."
        )
    after = found.evidence.after.outcomes if found.evidence.after else {}
    others = [t for t in baseline.failing if t not in search.problem.targets.tests]
    still = tuple(t for t in others if after.get(t) in (Outcome.FAILED, Outcome.ERROR))
    if still:
        findings.notes.append(_fails_as_before(still))
