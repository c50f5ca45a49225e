"""One attempt at a task from beginning to end: baseline, targets, an engine's candidates, verification, the gate.

Works without a database or scheduler: callbacks store what must be stored. All code of the repository runs
in the sandbox; this module only reads files and decides.
"""

import shlex
from collections import deque
from typing import Any

from assets.executions.attempt.candidate_runner import CandidateRunner
from assets.executions.attempt.checks import Checking
from assets.executions.attempt.outcomes import (
    Judged,
    decode_judged,
    decode_runner,
    encode_candidate,
    encode_judged,
    encode_runner,
)
from assets.executions.attempt.reproduce import (
    find_tests,
    measure_baseline,
    measure_with_derived_test,
    not_reproduced,
)
from assets.executions.attempt.scrutiny import change_of, doubts_of_text, minimal, scrutinise
from assets.executions.attempt.state import AttemptInput, AttemptState, Callbacks, OtherLanguage
from assets.executions.attempt.try_candidates import Accepted, TargetSearch, try_candidates
from assets.executions.engines.protocol import Candidate, Engine, Observation, Problem
from assets.executions.engines.search.choice import naturalness
from assets.executions.engines.search.spectrum import locations
from assets.executions.judging.diff import changed_lines, unified_diff, without
from assets.executions.judging.gate import judge
from assets.executions.judging.verify import Change, Suite, Verification, verify
from assets.executions.repository.test_command import COMMAND_FILE, NoTests, number_of_tests
from assets.executions.trial.baseline import Baseline
from assets.executions.trial.targets import Targets, TargetSet, made_targets, test_source
from assets.executions.trial.worker_client import Worker, WorkerDied
from core.work import Evidence, Execution, Outcome, Patch, Verdict, VerdictKind
from sandbox.environments.wanted import EnvironmentRefused
from sandbox.protocol import Sandbox

VERIFIED_PER_ROUND = 8
"""At most this many survivors are verified before more candidates are tried."""


def execute(given: AttemptInput, engine: Engine, sandbox: Sandbox, callbacks: Callbacks) -> Execution:
    """Searches for a patch within the plan's budget and the limits of the repository's settings.

    Raises `SandboxUnavailable` or `ChatUnavailable` when infrastructure fails, and `Stopped` when
    `callbacks.should_stop` returns true.
    """
    attempt = AttemptState(given, engine, sandbox, callbacks)
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
    observed = {"tests": len(baseline.run.outcomes), "failing": baseline.failing[:50], "seconds": baseline.run.seconds}
    seen = attempt.record("observed", {**observed, "notes": list(baseline.notes)})
    if not baseline.run.outcomes:
        return _given_up(attempt, seen, f"No tests found: `{shlex.join(shown)}` collects nothing.")
    if not baseline.failing:
        return _given_up(attempt, seen, not_reproduced(attempt, baseline), baseline)
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
                return _given_up(attempt, seen, f"{asked} The test derived from the issue could not be run: {died}.")
            if measured is None:
                return _given_up(attempt, seen, f"{asked} {attempt.lacking}".strip(), baseline)
            worker, baseline = measured
            sets = _derived_targets(attempt, baseline)
    if not sets:
        return _given_up(attempt, seen, not_reproduced(attempt, baseline), baseline)
    attempt.planning.reproduced(seen, baseline, sets, list(attempt.derived))
    findings.reproduction = "issue" if attempt.derived else "tests"
    attempt.choose_engine()
    return _search_target_sets(attempt, worker, baseline, sets)


def _given_up(attempt: AttemptState, seen: int, summary: str, baseline: Baseline | None = None) -> Execution:
    """Ends an attempt in which nothing shows the problem."""
    attempt.planning.not_reproduced(seen, summary, baseline)
    return attempt.findings.ended(None, summary)


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
            summary = attempt.findings.patch_summary(found.candidate)
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
    problem = Problem(
        issue=attempt.task.text,
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
        language=attempt.native.language.title if attempt.native else "Python",
        suffixes=attempt.native.language.suffixes if attempt.native else (".py",),
    )
    engine = attempt.engine.start(problem)
    runner = CandidateRunner(worker, baseline, attempt.files, engine.deliberate)
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
        if attempt.journal.now() >= until or (search.drafts and search.engine.deliberate):
            return None


def _best_draft(search: TargetSearch) -> Accepted | None:
    """The draft with the fewest reasons against it, the most natural of those."""
    return min(search.drafts, key=lambda draft: len(draft.verdict.reasons), default=None)


def verify_survivors(attempt: AttemptState, search: TargetSearch) -> tuple[Accepted | None, list[Observation]]:
    """Verifies survivors, the most natural first, until one passes the gate. Returns it (None when none passes), and an
    observation of each other one with the reasons; drafts are added to the search."""
    findings = attempt.findings
    told: list[Observation] = []
    verified = 0
    search.survivors.sort(key=lambda c: -naturalness(c, search.problem))
    while search.survivors and verified < VERIFIED_PER_ROUND and attempt.left >= 0.5:
        attempt.check()
        proposed = search.survivors.pop(0)
        judged = _judge_survivor(attempt, search, proposed)
        search.verified.add(judged.diff)
        search.broken = judged.broken
        search.steady = search.steady or judged.steady
        patch, evidence, verdict = judged.patch, judged.evidence, judged.verdict
        if patch is None or evidence is None or verdict is None:
            if search.broken:
                return None, told
            why = "without edits that the tests do not need, it is a change that was verified before"
            told.append(Observation(proposed, "known", broken=why))
            continue
        verified += 1
        failed = [check for check in verdict.checks if not check.passed]
        findings.passed_suite += not {"failing-tests-pass", "suite-no-worse"} & {check.name for check in failed}
        accepted = Accepted(judged.candidate, patch, evidence, verdict)
        if verdict.verdict is VerdictKind.PASS:
            return accepted, told
        if verdict.verdict is VerdictKind.DRAFT:
            search.add_draft(accepted)
            told.append(Observation(proposed, "draft", broken=reasons_of(verdict)))
            continue
        reasons = reasons_of(verdict)
        findings.reject(judged.candidate, reasons)
        seen = attempt.record("rejected", {"candidate": attempt.describe(judged.candidate), "reasons": reasons})
        attempt.planning.rejected(seen, judged.candidate, reasons)
        observed = proposed if proposed.deliberate else judged.candidate
        told.append(Observation(observed, "rejected", broken=reasons, message=judged.failure))
    return None, told


def _judge_survivor(attempt: AttemptState, search: TargetSearch, survivor: Candidate) -> Judged:
    """Makes a survivor minimal, verifies and judges it, as one action of the journal."""
    findings, runner = attempt.findings, search.runner

    def encode(judged: Judged) -> dict[str, Any]:
        state = {"timings": findings.timings, "runner": encode_runner(runner, search.proposed)}
        return {**encode_judged(judged), **state}

    def decode(raw: dict[str, Any]) -> Judged:
        judged = decode_judged(raw)
        decode_runner(raw["runner"], search.proposed, runner)
        findings.timings = raw["timings"]
        return judged

    return attempt.journal.perform(
        "judge",
        {"candidate": attempt.describe(survivor)},
        [list(search.problem.targets.tests), encode_candidate(survivor), len(search.verified)],
        lambda: _judged(attempt, search, survivor),
        encode=encode,
        decode=decode,
    )


def _judged(attempt: AttemptState, search: TargetSearch, survivor: Candidate) -> Judged:
    candidate = minimal(attempt, search, survivor)
    change = change_of(attempt, candidate)
    if change.diff in search.verified:
        return Judged(candidate, change.diff, broken=search.broken)
    attempt.record("verify", {"patch": change.diff, "operator": candidate.operator, "rank": len(search.verified)})
    doubts = doubts_of_text(search, change)
    published = _with_derived_test(attempt, change)
    if grave := [doubt.detail for doubt in doubts if doubt.severity == "fail"]:
        result = Verification(None, detail=grave[0])
    else:
        result = _verified(attempt, search, published)
    if result.unsteady:
        broken = f"{result.detail}, so no patch can be proven by it"
        return Judged(candidate, change.diff, broken=broken)
    patch = Patch(base_commit=attempt.checkout.commit, diff=published.diff)
    evidence = _evidence(attempt, search.problem, candidate, published, result).model_copy(update={"doubts": doubts})
    verdict = judge(evidence, patch)
    if verdict.verdict is not VerdictKind.FAIL:
        more = scrutinise(attempt, search, candidate)
        found = {"doubts": (*doubts, *more.doubts), "supports": more.supports}
        evidence = evidence.model_copy(update=found)
        verdict = judge(evidence, patch)
    observed = {"verdict": verdict.verdict, "failed": reasons_of(verdict), "detail": result.detail}
    attempt.record("observed", observed)
    failure = result.failure_message(search.problem.baseline.run)
    steady = result.after is not None
    return Judged(candidate, change.diff, patch, evidence, verdict, failure, steady, search.broken)


def reasons_of(verdict: Verdict) -> str:
    """Why a verdict is not a pass: the checks that failed and the reasons for a draft."""
    return " ".join([*(check.detail for check in verdict.checks if not check.passed), *verdict.reasons])


def _with_derived_test(attempt: AttemptState, change: Change) -> Change:
    """The change with the test that was derived from the task's text, which the engine neither sees as a file of its
    own nor may change."""
    if not attempt.derived:
        return change
    files = {**change.files, **attempt.derived}
    before = {**change.before, **dict.fromkeys(attempt.derived)}
    return Change(unified_diff(before, files), files, before)


def _evidence(
    attempt: AttemptState, problem: Problem, candidate: Candidate, change: Change, result: Verification
) -> Evidence:
    """What is known of a verified candidate."""
    measured = {
        "applies": result.applies,
        "after": result.after,
        "changed_paths": tuple(change.files),
        "flaky": (*problem.baseline.flaky, *result.flaky),
        "reached": result.reached,
        "operator": candidate.operator,
    }
    if result.before is not None:
        measured["before"] = result.before
    return attempt.findings.evidence(**measured)


def _verified(attempt: AttemptState, search: TargetSearch, change: Change) -> Verification:
    """Applies the change to a clean copy and runs the whole suite there."""
    began = attempt.journal.now()
    worker = None
    try:
        worker = attempt.take_worker()
        if search.survivors:
            attempt.prepare_worker()
        problem = search.problem
        suite = Suite(attempt.command, attempt.black_box, problem.baseline, problem.targets.tests, search.steady)
        return verify(worker, attempt.checkout.root, change, suite, attempt.allowance(attempt.left - 0.5))
    except WorkerDied as died:
        return Verification(None, detail=str(died))
    finally:
        if worker is not None:
            worker.close()
        attempt.findings.spent("verify", began)


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
        findings.notes.append(f"{number_of_tests(still)} failed before for another reason and still fail: {still[0]}.")
