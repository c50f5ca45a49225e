"""Tries an engine's candidates against the failing tests, until enough of them have passed or the time is over."""

import time
from typing import TYPE_CHECKING

from assets.executions.engines.protocol import Candidate, Observation, Problem
from assets.executions.engines.search.choice import naturalness
from assets.executions.trial.validate import Bench
from assets.executions.trial.worker_client import Worker, WorkerDied

from .findings import statuses, tally

if TYPE_CHECKING:
    from .state import AttemptState

FIRST_BATCH, BATCH = 40, 160
CONVINCING = 0.35
"""Naturalness from which a survivor is believed soon."""


def try_candidates(attempt: "AttemptState", worker: Worker, problem: Problem, until: float) -> list[Candidate]:
    """Tries candidates until some survive and no likelier one can come, or time or candidates run out."""
    began = time.monotonic()
    bench = Bench(worker, problem.baseline, attempt.files, attempt.engine.deliberate)
    bench.aim(problem.targets.tests)
    survivors: list[Candidate] = []
    first_found, tried_at_first = 0.0, 0
    size = FIRST_BATCH
    while time.monotonic() < until and attempt.findings.tried < attempt.budget.candidates:
        attempt.check()
        batch = attempt.engine.propose(min(size, attempt.budget.candidates - attempt.findings.tried))
        if not batch and (survivors or not bench.waiting):
            break
        following = (batch or bench.waiting)[0]
        compared = attempt.findings.tried - tried_at_first
        since = time.monotonic() - first_found
        if survivors and enough(problem, survivors, following, compared, since, first_found - began):
            break
        first = attempt.describe(following)
        attempt.record("try", {"candidates": len(batch), "operators": tally(batch), "first": first})
        try:
            observations = bench.try_all(batch, max(0.5, until - time.monotonic()))
        except WorkerDied as died:
            attempt.findings.notes.append(f"The worker was restarted while candidates were tried: {died}.")
            attempt.findings.tried += len(batch)
            if not restarted(attempt, worker):
                break
            attempt.engine.observe([Observation(candidate, "crash", signature=str(died)) for candidate in batch])
            continue
        attempt.findings.count(observations)
        found = [o.candidate for o in observations if o.status == "pass"]
        if found and not survivors:
            first_found, tried_at_first = time.monotonic(), attempt.findings.tried
        survivors.extend(found)
        outcome = {"tried": len(observations), "status": statuses(observations)}
        attempt.record("observed", {**outcome, "survivors": [attempt.describe(c) for c in found]})
        attempt.engine.observe(observations)
        size = min(BATCH, size * 2)
    attempt.check()
    attempt.findings.generated += attempt.engine.generated
    if attempt.engine.faults:
        attempt.findings.notes.append(
            f"{len(attempt.engine.faults)} operators failed, first {attempt.engine.faults[0]}."
        )
    attempt.findings.spent("search", began)
    if bench.leaky:
        attempt.findings.notes.append(
            "Some candidates left traces in the process, so later ones were each tried in a process of their own."
        )
    return survivors


def enough(
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


def restarted(attempt: "AttemptState", worker: Worker) -> bool:
    """Whether the worker could be opened anew."""
    worker.stop()
    try:
        worker.ask("open", min(30.0, max(5.0, attempt.left)), coverage=False, instrument_seconds=0)
    except WorkerDied:
        return False
    return True
