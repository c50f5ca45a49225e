"""Small edits that pass the same tests as a patch that was proposed, so that it is known what the tests leave open.

A search finds such edits by itself; for the patch of a model or a person they are looked for here.
"""

from assets.executions.attempt.candidate_runner import CandidateRunner
from assets.executions.attempt.state import AttemptState
from assets.executions.attempt.try_candidates import TargetSearch
from assets.executions.engines.protocol import Candidate
from assets.executions.engines.search.engine import Search
from assets.executions.trial.worker_client import WorkerDied

TRIED = 240
"""Edits that are tried. A count, so that the verdict does not depend on the machine's load."""
_BATCH = 40


def alternatives(attempt: AttemptState, search: TargetSearch, candidate: Candidate, seconds: float) -> list[Candidate]:
    """Edits that pass the targets and the quick tests around them, in the order of their likelihood. Needs the worker
    in which the suite is collected; gives what was found when `seconds` are over or the worker dies."""
    problem = search.problem
    engine = Search().start(problem)
    runner = CandidateRunner(search.runner.worker, problem.baseline, problem.sources)
    runner.set_targets(problem.targets.tests)
    own = candidate.files(problem.sources)
    found: list[Candidate] = []
    while runner.in_place < TRIED and not search.broken:
        batch = engine.propose(_BATCH)
        if not batch:
            break
        runner.waiting = []
        try:
            observations = runner.try_all(batch, seconds)
        except WorkerDied as died:
            search.broken = f"the process that tries edits ended: {died}"
            break
        found += [o.candidate for o in observations if o.status == "pass"]
    return [other for other in found if other.files(problem.sources) != own]
