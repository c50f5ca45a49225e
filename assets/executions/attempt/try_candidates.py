"""Tries an engine's candidates on one set of failing tests, until enough of them pass or time runs out."""

import time
from dataclasses import dataclass, field

from assets.executions.attempt.candidate_runner import CandidateRunner
from assets.executions.attempt.findings import statuses, tally
from assets.executions.attempt.state import AttemptState
from assets.executions.engines.protocol import Candidate, Engine, Observation, Problem
from assets.executions.engines.search.choice import naturalness
from assets.executions.trial.worker_client import Worker, WorkerDied

FIRST_BATCH, BATCH = 40, 160
CONVINCING = 0.35
"""A survivor of at least this naturalness is verified after few more trials."""


@dataclass
class TargetSearch:
    """The search for a patch that makes one set of failing tests pass. It can be interrupted and continued."""

    problem: Problem
    engine: Engine
    runner: CandidateRunner
    size: int = FIRST_BATCH
    """Candidates in the next batch."""
    pending: list[Candidate] = field(default_factory=list)
    """Candidates that the engine has proposed and that are not tried yet."""
    survivors: list[Candidate] = field(default_factory=list)
    """Candidates that make these tests pass and are not verified yet."""
    counted: int = 0
    """How many of the engine's generated candidates are counted in the findings."""
    complete: bool = False
    """Whether the engine has nothing more to propose and everything was tried."""
    broken: str = ""
    """Why no more can be tried, as text, once the worker has died and could not be restarted."""


def try_candidates(attempt: AttemptState, search: TargetSearch, until: float) -> None:
    """Tries candidates and adds survivors to the search, until a better one is unlikely, or time (`until`, on the
    monotonic clock) or candidates run out."""
    began = time.monotonic()
    findings, engine, runner = attempt.findings, search.engine, search.runner
    new: list[Candidate] = []
    first_found, tried_at_first = 0.0, 0
    search.complete = False
    while not search.broken and time.monotonic() < until and findings.tried < attempt.budget.candidates:
        attempt.check()
        count = min(search.size, attempt.budget.candidates - findings.tried)
        batch = search.pending[:count] or engine.propose(count)
        search.pending = search.pending[count:]
        if not batch and (new or not runner.waiting):
            search.complete = not runner.waiting
            break
        following = (batch or runner.waiting)[0]
        since = time.monotonic() - first_found
        if new and enough(search.problem, new, following, findings.tried - tried_at_first, since, first_found - began):
            search.pending = [*batch, *search.pending]
            break
        first = attempt.describe(following)
        attempt.record("try", {"candidates": len(batch), "operators": tally(batch), "first": first})
        try:
            observations = runner.try_all(batch, max(0.5, until - time.monotonic()))
        except WorkerDied as died:
            findings.notes.append(f"The worker ended while candidates were tried: {died}.")
            findings.tried += len(batch)
            if not restart(attempt, runner.worker):
                search.broken = "the process that tries candidates ended and could not be started again"
                break
            engine.observe([Observation(candidate, "crash", signature=str(died)) for candidate in batch])
            continue
        findings.count(observations)
        reached = {id(o.candidate) for o in observations} | {id(c) for c in runner.waiting}
        search.pending = [*(c for c in batch if id(c) not in reached), *search.pending]
        found = [o.candidate for o in observations if o.status == "pass"]
        if found and not new:
            first_found, tried_at_first = time.monotonic(), findings.tried
        new.extend(found)
        outcome = {"tried": len(observations), "status": statuses(observations)}
        attempt.record("observed", {**outcome, "survivors": [attempt.describe(c) for c in found]})
        engine.observe(observations)
        search.size = min(BATCH, search.size * 2)
    attempt.check()
    search.survivors.extend(new)
    findings.generated += engine.generated - search.counted
    search.counted = engine.generated
    findings.faults.update(dict.fromkeys(engine.faults))
    findings.spent("search", began)
    if runner.leaky:
        findings.notes.append(
            "Some candidates left traces in the process, so later ones were each tried in a process of their own."
        )


def enough(
    problem: Problem,
    survivors: list[Candidate],
    following: Candidate,
    compared: int,
    since: float,
    took: float,
) -> bool:
    """Whether to stop trying: soon after a natural survivor, later when all survivors look contrived. The first one
    took `took` seconds to find; `compared` candidates were tried in the `since` seconds after it."""
    best = max(naturalness(c, problem) for c in survivors)
    if best >= CONVINCING:
        enough = compared >= 150 and since > max(0.2, 0.5 * took)
        return following.priority < 0.5 * best or enough or since > 3.0
    enough = compared >= 400 and since > max(0.5, 2.0 * took)
    return following.priority < 0.3 * best or enough or since > 6.0


def restart(attempt: AttemptState, worker: Worker) -> bool:
    """Restarts the worker; False when that fails."""
    worker.stop()
    try:
        worker.ask("open", min(30.0, max(5.0, attempt.left)), coverage=False, instrument_seconds=0)
    except WorkerDied:
        return False
    return True
