"""Small edits that pass the same tests as a patch that was proposed: what the tests leave open.

A search finds such edits by itself; for the patch of a model or a person they are looked for here. One that is as
natural and behaves in another way shows that the tests do not decide between the two. Not for finding a better patch.
"""

import time
from dataclasses import dataclass

from assets.executions.attempt.candidate_runner import CandidateRunner
from assets.executions.attempt.state import AttemptState
from assets.executions.attempt.try_candidates import TargetSearch, restart
from assets.executions.engines.protocol import Candidate
from assets.executions.engines.search.choice import naturalness, only_removes
from assets.executions.engines.search.engine import Search
from assets.executions.judging.edits.doubts import static_doubts
from assets.executions.trial.worker_client import WorkerDied

TRIED, LEAST_TRIED = 240, 10
"""Edits that are tried, and the least number where the targets are slow. Counts, so that a verdict does not depend on
the machine's load."""
ENOUGH = 60
"""Where this many were tried in time, the patch is judged by them."""
SLOW_SECONDS = 1.5
"""Fewer edits are tried where one run of the targets took longer. Quick tests stay below that under load too."""
SHOWN = 3
"""At most this many are compared with the patch, the most natural ones."""
MOST_SECONDS = 40.0
_BATCH = 40


@dataclass(frozen=True)
class Alternatives:
    """The most natural edits that pass, those that are less natural than the patch left out. `complete` is false when
    time was over before enough had been tried."""

    found: tuple[Candidate, ...] = ()
    complete: bool = True


def alternatives(attempt: AttemptState, search: TargetSearch, candidate: Candidate) -> Alternatives:
    """Tries edits of the program in the order of a search, on the targets and the quick tests around the edits. Takes
    at most `MOST_SECONDS` and a third of the time that is left. Nothing is found once the worker cannot be used."""
    problem = search.problem
    until = time.monotonic() + min(MOST_SECONDS, attempt.left / 3)
    count = _count(sum(problem.baseline.seconds.get(test, 0.0) for test in problem.targets.tests))
    engine = Search().start(problem)
    runner = CandidateRunner(search.runner.worker, problem.baseline, problem.sources)
    runner.set_targets(problem.targets.tests)
    attempt.record("alternatives", {"candidates": count})
    passing: list[Candidate] = []
    left, tried, complete = count, 0, True
    while left > 0:
        batch = engine.propose(min(_BATCH, left))
        if not batch:
            break
        left -= len(batch)
        if time.monotonic() >= until:
            complete = False
            break
        try:
            observations = runner.try_all(batch, max(0.1, until - time.monotonic()))
        except WorkerDied:
            if restart(attempt, runner.worker):
                continue
            search.broken = "the process that tries edits ended and could not be started again"
            break
        tried += len(observations)
        complete = complete and len(observations) + len(runner.waiting) >= len(batch)
        runner.waiting = []
        passing += [o.candidate for o in observations if o.status == "pass"]
    found = _best(search, candidate, passing)
    attempt.record("observed", {"passing": len(passing), "as natural": [attempt.describe(c) for c in found]})
    return Alternatives(tuple(found), complete or tried >= ENOUGH)


def _count(seconds: float) -> int:
    """How many edits to try where one run of the targets takes some seconds."""
    return TRIED if seconds <= SLOW_SECONDS else max(LEAST_TRIED, int(0.1 * TRIED / seconds))


def _best(search: TargetSearch, candidate: Candidate, passing: list[Candidate]) -> list[Candidate]:
    """The most natural ones without a doubt from their text, each text once; only those at least as natural as the
    patch. An edit that only removes code says little: what it does less, tests seldom ask for."""
    problem = search.problem
    least = naturalness(candidate, problem)
    known = [candidate.files(problem.sources)]
    found: list[Candidate] = []
    for other in sorted(passing, key=lambda c: -naturalness(c, problem)):
        if len(found) == SHOWN or naturalness(other, problem) < least:
            break
        files, before = other.files(problem.sources), other.before(problem.sources)
        doubts = static_doubts(before, files, problem.issue, problem.test_sources, problem.sources)
        if files not in known and not doubts and not only_removes(other, problem):
            known.append(files)
            found.append(other)
    return found
