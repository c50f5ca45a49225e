"""Verifies the candidates that passed the failing tests, on a clean copy and with the whole suite; takes the first
that holds."""

import time
from typing import TYPE_CHECKING

from assets.executions.engines.protocol import Candidate, Observation, Problem
from assets.executions.engines.search.choice import naturalness
from assets.executions.judging.diff import unified_diff
from assets.executions.judging.verify import Verification, verify
from assets.executions.trial.worker_client import Spare, WorkerDied
from core.work import Execution, Patch

from .findings import tests_in_words

if TYPE_CHECKING:
    from .state import AttemptState

MAX_VERIFIED = 8


def settle(
    attempt: "AttemptState", problem: Problem, survivors: list[Candidate]
) -> tuple[Execution | None, list[Observation]]:
    """Verifies survivors, best first, and ends with the first that holds; and why the others do not."""
    rejected: list[Observation] = []
    ranked = sorted(survivors, key=lambda c: -naturalness(c, problem))
    for rank, candidate in enumerate(ranked[:MAX_VERIFIED]):
        if attempt.left < 0.5:
            break
        attempt.check()
        after = candidate.files(attempt.files)
        diff = unified_diff(candidate.before(attempt.files), after)
        attempt.record("verify", {"patch": diff, "operator": candidate.operator, "rank": rank})
        result = verified(attempt, problem, diff, after, more=rank + 1 < len(ranked))
        accepted = result.accepts(problem.targets.tests, problem.baseline.run)
        worse = result.worse(problem.baseline.run)
        observed = {"accepted": accepted, "applies": result.applies, "worse": worse[:20], "detail": result.detail}
        attempt.record("observed", observed)
        if accepted:
            return resolved(attempt, problem, candidate, diff, result, len(ranked)), rejected
        broken = ", ".join(worse[:5]) or "what passed while it was tried"
        rejected.append(Observation(candidate, "regress", broken=broken, said=result.said(worse)))
    return None, rejected


def verified(
    attempt: "AttemptState", problem: Problem, diff: str, after: dict[str, str | None], *, more: bool
) -> Verification:
    """The patch applied to a clean copy, with what the whole suite says then; `more`: others may follow."""
    began = time.monotonic()
    spare, attempt.spare = attempt.spare, None
    worker = None
    try:
        worker = spare.take() if spare is not None else attempt.open_worker()
        if more:
            attempt.spare = Spare(attempt.open_worker)
        allowance = attempt.allowance(attempt.left - 0.5)
        targets = problem.targets.tests
        return verify(
            worker, attempt.checkout, attempt.command, diff, after, targets, problem.baseline, allowance, attempt.box
        )
    except WorkerDied as died:
        return Verification(False, None, detail=str(died))
    finally:
        if worker is not None:
            worker.close()
        attempt.findings.spent("verify", began)


def resolved(
    attempt: "AttemptState", problem: Problem, candidate: Candidate, diff: str, result: Verification, survivors: int
) -> Execution:
    """How an attempt ends whose patch holds."""
    notes = attempt.findings.notes
    attempt.findings.passed_suite += 1
    if survivors > 1:
        notes.append(f"{survivors} candidates passed the failing tests; the most natural one was taken.")
    after = result.after.outcomes if result.after else {}
    others = [t for t in problem.baseline.failing if t not in problem.targets.tests]
    still = tuple(t for t in others if after.get(t) not in (None, "passed"))
    if still:
        notes.append(f"{tests_in_words(still)} failed before for another reason and still fail: {still[0]}.")
    return attempt.findings.ended(
        Patch(base_commit=attempt.checkout.commit, diff=diff),
        attempt.findings.victory(candidate),
        applies=True,
        after=result.after,
        changed_paths=tuple(candidate.files(attempt.files)),
        flaky=(*problem.baseline.flaky, *result.flaky),
        operator=candidate.operator,
    )
