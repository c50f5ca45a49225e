"""Tries an engine's candidates on one set of failing tests, until enough of them pass or time runs out."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from assets.executions.attempt.candidate_runner import CandidateRunner
from assets.executions.attempt.findings import statuses, tally
from assets.executions.attempt.outcomes import Proposed, Tried, decode_tried, encode_candidate, encode_tried
from assets.executions.attempt.state import AttemptState
from assets.executions.engines.protocol import Candidate, Engine, Observation, Problem
from assets.executions.judging.behaviour.measure import Measurement
from assets.executions.trial.worker_client import Worker, WorkerDied
from core.work import Evidence, Patch, Verdict

FIRST_BATCH, BATCH, QUICK_BATCH = 40, 160, 640
"""Candidates that are tried before anybody looks at the results; the last, where the tests are quick. Each batch has a
cost of its own, since its process is forked from the one that holds the tests."""
COMPARED, LEAST_COMPARED = 400, 100
"""The effort after the first survivor before one is chosen; the least one where all that follows is far less likely.
Counts, so that the choice is the same on a slow machine."""
FAR_LESS_LIKELY = 0.25
DRAFT_PATIENCE = 3_000
"""The effort after the first draft in which a patch that passes is looked for."""


@dataclass(frozen=True)
class Accepted:
    """A verified candidate that the gate does not reject, with its patch and the evidence for it."""

    candidate: Candidate
    patch: Patch
    evidence: Evidence
    verdict: Verdict


@dataclass
class Measurements:
    """Measurements of candidates of one search, so that rivals that are measured together are measured once."""

    _by_candidate: dict[object, tuple[Measurement, int]] = field(default_factory=dict)

    def find(self, candidate: Candidate) -> tuple[Measurement, int] | None:
        return self._by_candidate.get(candidate.key)

    def keep(self, candidates: Sequence[Candidate], measurement: Measurement) -> None:
        """Stores a measurement of these candidates, in its order."""
        for number, candidate in enumerate(candidates):
            self._by_candidate.setdefault(candidate.key, (measurement, number))


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
    proposed: Proposed = field(default_factory=Proposed)
    drafts: list[Accepted] = field(default_factory=list)
    """Verified candidates that are good for a draft only, in the order in which they were verified."""
    survivors: list[Candidate] = field(default_factory=list)
    """Candidates that make these tests pass and are not verified yet."""
    counted: int = 0
    """How many of the engine's generated candidates are counted in the findings."""
    complete: bool = False
    """Whether the engine has nothing more to propose and everything was tried."""
    broken: str = ""
    """Why no more can be tried, as text: the worker has died and could not be restarted, or nothing can be proven."""
    verified: set[str] = field(default_factory=set)
    """The diffs that were verified: different edits may give the same text."""
    measurements: Measurements = field(default_factory=Measurements)
    steady: bool = False
    """Whether repeated runs on the unchanged commit have shown that the targets fail each time."""
    _effort_at_draft: int = 0

    def add_draft(self, draft: Accepted) -> None:
        if not self.drafts:
            self._effort_at_draft = self.runner.effort if self.runner else 0
        self.drafts.append(draft)

    @property
    def patient(self) -> bool:
        """Whether to go on looking for a patch that passes: once there is a draft, for `DRAFT_PATIENCE` only."""
        return not self.drafts or self.runner.effort - self._effort_at_draft < DRAFT_PATIENCE


def try_candidates(attempt: AttemptState, search: TargetSearch, until: float) -> None:
    """Tries candidates and adds survivors to the search, until a better one is unlikely, or time (`until`, on the
    monotonic clock) or candidates run out."""
    began = attempt.journal.now()
    findings, engine, runner = attempt.findings, search.engine, search.runner
    new: list[Candidate] = []
    effort_at_first = 0
    search.complete = False
    most = attempt.budget.candidates
    while not search.broken and search.patient and attempt.journal.now() < until and findings.tried < most:
        attempt.check()
        attempt.listen()
        count = min(search.size, attempt.budget.candidates - findings.tried)
        if new:
            count = min(count, max(FIRST_BATCH, COMPARED - runner.effort + effort_at_first))
        batch = search.pending[:count] or engine.propose(count)
        search.pending = search.pending[count:]
        if not batch and (new or not runner.later):
            search.complete = not runner.later
            break
        following = (batch or runner.later)[0]
        if new and (engine.deliberate or enough(new, following, runner.effort - effort_at_first)):
            search.pending = [*batch, *search.pending]
            break
        tried = _try_batch(attempt, search, batch, attempt.describe(following), until)
        if tried.died:
            findings.notes.append(f"The worker ended while candidates were tried: {tried.died}.")
            findings.tried += len(batch)
            if not tried.restarted:
                search.broken = "the process that tries candidates ended and could not be started again"
                break
            engine.observe([Observation(candidate, "crash", signature=tried.died) for candidate in batch])
            continue
        observations = tried.observations
        findings.count(observations)
        reached = {id(o.candidate) for o in observations} | {id(c) for c in runner.waiting}
        search.pending = [*(c for c in batch if id(c) not in reached), *search.pending]
        found = [o.candidate for o in observations if o.status == "pass"]
        if found and not new:
            effort_at_first = runner.effort
        new.extend(found)
        outcome = {"tried": len(observations), "status": statuses(observations)}
        seen = attempt.record("observed", {**outcome, "survivors": [attempt.describe(c) for c in found]})
        attempt.planning.tried(seen, observations)
        engine.observe(observations)
        search.size = min(QUICK_BATCH if runner.quick else BATCH, search.size * 2)
    attempt.check()
    search.survivors.extend(new)
    findings.generated += engine.generated - search.counted
    search.counted = engine.generated
    findings.faults.update(dict.fromkeys(engine.faults))
    findings.notes.extend(note for note in engine.notes if note not in findings.notes)
    findings.spent("search", began)
    if runner.leaky:
        findings.notes.append(
            "Some candidates left traces in the process, so later ones were each tried in a process of their own."
        )


def _try_batch(attempt: AttemptState, search: TargetSearch, batch: list[Candidate], first: str, until: float) -> Tried:
    """Tries candidates, as one action of the journal; `first` describes the first of them."""
    runner, proposed = search.runner, search.proposed
    known = len(proposed.candidates)
    proposed.add(batch)

    def run() -> Tried:
        try:
            return Tried(runner.try_all(batch, max(0.5, until - attempt.journal.now())))
        except WorkerDied as died:
            return Tried([], str(died), restart(attempt, runner.worker))

    return attempt.journal.perform(
        "try",
        {"candidates": len(batch), "operators": tally(batch), "first": first},
        [list(runner.targets), known, [encode_candidate(candidate) for candidate in batch] if attempt.kept else []],
        run,
        encode=lambda tried: encode_tried(tried, proposed, runner),
        decode=lambda raw: decode_tried(raw, proposed, runner),
    )


def enough(survivors: list[Candidate], following: Candidate, compared: int) -> bool:
    """Whether to stop trying. `compared` is the effort since the first survivor, in trials in place; `following` is the
    next candidate."""
    if compared >= COMPARED:
        return True
    best = max(candidate.priority for candidate in survivors)
    return compared >= LEAST_COMPARED and following.priority < FAR_LESS_LIKELY * best


def restart(attempt: AttemptState, worker: Worker) -> bool:
    """Restarts the worker; False when that fails."""
    worker.stop()
    try:
        worker.ask("open", min(30.0, max(5.0, attempt.left)), coverage=False, instrument_seconds=0)
    except WorkerDied:
        return False
    return True
