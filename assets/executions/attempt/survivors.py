"""Verifies survivors, candidates that make the target tests pass, and judges them by the gate."""

from typing import Any

from assets.executions.attempt.outcomes import (
    Judged,
    decode_judged,
    decode_runner,
    encode_candidate,
    encode_judged,
    encode_runner,
)
from assets.executions.attempt.scrutiny import change_of, doubts_of_text, minimal, scrutinise
from assets.executions.attempt.state import AttemptState
from assets.executions.attempt.try_candidates import Accepted, TargetSearch
from assets.executions.engines.protocol import Candidate, Observation, Problem
from assets.executions.engines.search.choice import naturalness
from assets.executions.judging.diff import unified_diff
from assets.executions.judging.gate import judge
from assets.executions.judging.verify import Change, Suite, Verification, verify
from assets.executions.trial.worker_client import WorkerDied
from core.work import Evidence, Patch, Verdict, VerdictKind

VERIFIED_PER_ROUND = 8
"""At most this many survivors are verified before more candidates are tried."""


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
            findings.same += 1
            told.append(Observation(proposed, "known", broken=why))
            continue
        verified += 1
        failed = [check for check in verdict.checks if not check.passed]
        findings.passed_suite += not {"failing-tests-pass", "suite-no-worse"} & {check.name for check in failed}
        accepted = Accepted(judged.candidate, patch, evidence, verdict)
        if verdict.verdict is VerdictKind.PASS:
            return accepted, told
        reasons = reasons_of(verdict)
        if verdict.verdict is VerdictKind.DRAFT:
            search.add_draft(accepted)
            findings.drafts += 1
            told.append(Observation(proposed, "draft", broken=reasons))
            continue
        findings.reject(judged.candidate, reasons)
        seen = attempt.record("rejected", {"candidate": attempt.describe(judged.candidate), "reasons": reasons})
        attempt.planning.rejected(seen, judged.candidate, reasons)
        rejected = proposed if proposed.deliberate else judged.candidate
        told.append(Observation(rejected, "rejected", broken=reasons, message=judged.failure))
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
