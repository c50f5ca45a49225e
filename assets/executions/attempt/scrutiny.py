"""What speaks against a candidate whose tests pass: measured from its text first, then by running it beside its rivals.

Rivals are other survivors that a maintainer could as well have written. A candidate is also made minimal here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from assets.executions.attempt.alternatives import Alternatives, alternatives
from assets.executions.attempt.minimise import minimise
from assets.executions.attempt.state import AttemptState
from assets.executions.attempt.try_candidates import TargetSearch
from assets.executions.engines.protocol import Candidate
from assets.executions.engines.search.choice import naturalness
from assets.executions.judging.behaviour.doubts import judge_behaviour
from assets.executions.judging.behaviour.measure import Measurement, measure_patches
from assets.executions.judging.behaviour.rivals import rival_doubt
from assets.executions.judging.diff import unified_diff
from assets.executions.judging.edits.doubts import static_doubts
from assets.executions.judging.lacking import lacking_doubt
from assets.executions.judging.verify import Change
from assets.executions.trial.worker_client import WorkerDied
from core.work import Doubt, Support
from sandbox.environments.languages.rust_inline_tests import test_code_changed

MOST_RIVALS = 6
AS_NATURAL = 0.25
"""A survivor is a rival when its naturalness is at least this part of the candidate's."""
CROWD = 20
"""With more other edits that make the failing tests pass, whatever they do to other tests, these tests say too little
about what is right: on the development cases of real bugs, one of six patches found among so many was right, and seven
of eight others."""
MOST_SECONDS = 30.0
LEAST_SECONDS = 1.0
LEAST_COMPARED = 0.5
HURRIED_SECONDS = 5.0
"""Where no call was recorded in less time than this, there may be some all the same."""
_TRIAL_SECONDS = 10.0


@dataclass(frozen=True)
class Scrutiny:
    doubts: tuple[Doubt, ...] = ()
    supports: tuple[Support, ...] = ()


def change_of(attempt: AttemptState, candidate: Candidate) -> Change:
    """The candidate as a change of the checkout's files."""
    files, before = candidate.files(attempt.files), candidate.before(attempt.files)
    return Change(unified_diff(before, files), files, before)


def doubts_of_text(search: TargetSearch, change: Change) -> tuple[Doubt, ...]:
    """What the text of a change, and what its targets execute, says against it; nothing is run."""
    problem = search.problem
    found = static_doubts(change.before, change.files, problem.issue, problem.test_sources, problem.sources)
    lacking = lacking_doubt(change.before, change.files, problem.baseline, problem.targets.tests)
    return (*found, *((lacking,) if lacking is not None else ()), *_changed_tests(change))


def _changed_tests(change: Change) -> tuple[Doubt, ...]:
    """A doubt for each file that is program and tests at once, as those of Rust are, and whose tests are changed."""
    return tuple(
        Doubt(kind="changed-tests", detail=f"The patch changes the tests in {path}.", severity="fail")
        for path, text in change.files.items()
        if path.endswith(".rs") and test_code_changed(change.before.get(path) or "", text or "")
    )


def minimal(attempt: AttemptState, search: TargetSearch, candidate: Candidate) -> Candidate:
    """The candidate without edits that the target tests do not need."""
    if search.runner is None or len(candidate.edits) + len(candidate.whole) == 0:
        return candidate

    whole = _kept_whole(candidate)

    def still_passes(smaller: Candidate) -> bool:
        if _kept_whole(smaller) != whole:
            return False
        seconds = min(_TRIAL_SECONDS, attempt.left - attempt.reserve)
        if seconds <= 0 or search.broken:
            return False
        try:
            observed = search.runner.try_one(smaller, seconds)
        except WorkerDied:
            search.broken = "the process that tries candidates ended while a patch was made minimal"
            return False
        return observed.status == "pass"

    return minimise(candidate, attempt.files, still_passes).candidate


def _kept_whole(candidate: Candidate) -> set[str]:
    """Files that are added or deleted, and files other than programs, which no test need execute."""
    changes = candidate.whole
    return {c.path for c in changes if c.before is None or c.after is None or not c.path.endswith(".py")}


def scrutinise(attempt: AttemptState, search: TargetSearch, candidate: Candidate) -> Scrutiny:
    """Runs the candidate and its rivals on inputs beyond the tests. Never raises for what the repository does. Only for
    Python; what is changed in another language is good for a draft at most."""
    if attempt.native is not None:
        return Scrutiny()
    began = attempt.journal.now()
    kept = search.measurements.find(candidate)
    if kept is None:
        # A search has tried such edits itself, though not at the places that a model found.
        edits = (
            alternatives(attempt, search, candidate)
            if candidate.deliberate or search.engine.deliberate
            else Alternatives()
        )
        if not edits.complete:
            return Scrutiny((_unmeasured("There was no time left to look for other edits that pass these tests."),))
        group = [candidate, *_rivals(search, candidate)]
        group += [edit for edit in edits.found if edit.key not in {one.key for one in group}]
        seconds = min(MOST_SECONDS, 0.5 * attempt.left)
        if seconds < LEAST_SECONDS:
            return Scrutiny((_unmeasured("There was no time left to compare the program with and without the patch."),))
        attempt.record("measure", {"patches": len(group), "seconds": round(seconds, 1)})
        measured = _measured(attempt, search, group, seconds)
        if seconds < HURRIED_SECONDS and not measured.lost:
            measured = replace(measured, lost=f"there were {seconds:.1f} s left")
        search.measurements.keep(group, measured)
        kept = search.measurements.find(candidate)
        assert kept is not None  # noqa: S101 - it was stored just now
    measurement, number = kept
    compared = [sum(r is not None for r in patch.results or ()) for patch in measurement.patches]
    notes = list(measurement.notes[:5])
    attempt.record("observed", {"calls": len(measurement.calls), "compared": compared, "notes": notes})
    attempt.findings.spent("measure", began)
    judged = _judged(measurement, number)
    crowd = crowd_doubt(attempt.findings.passed_targets - 1)
    return judged if crowd is None else Scrutiny((*judged.doubts, crowd), judged.supports)


def crowd_doubt(others: int) -> Doubt | None:
    """A doubt where too many `others` make the failing tests pass as well."""
    if others <= CROWD:
        return None
    detail = f"{others} other edits make the failing tests pass too: the tests do not say which of them is right."
    return Doubt(kind="open-tests", detail=detail, origin="rival")


def _judged(measurement: Measurement, number: int) -> Scrutiny:
    """What a measurement says of one of its patches, of its rivals, and of what could not be measured."""
    if number >= len(measurement.patches) or not _compared_enough(measurement, number):
        detail = f"The program could not be compared with and without the patch. {' '.join(measurement.notes[:1])}"
        return Scrutiny((_unmeasured(detail.strip()),))
    found = judge_behaviour(measurement, number)
    doubts = [doubt.model_copy(update={"origin": "run"}) for doubt in found.doubts]
    if (others := len(measurement.patches) - 1) and measurement.lost and not measurement.calls:
        count = "Another patch passes" if others == 1 else f"{others} other patches pass"
        why = f"no call could be recorded by which to tell them apart: {measurement.lost}."
        doubts.append(_unmeasured(f"{count} these tests, and {why}"))
    elif not all(_compared_enough(measurement, other) for other in range(len(measurement.patches))):
        doubts.append(_unmeasured("Another patch that passes these tests could not be compared with this one in time."))
    elif (rival := rival_doubt(measurement, number)) is not None:
        doubts.append(rival.model_copy(update={"origin": "rival"}))
    return Scrutiny(tuple(doubts), found.supports)


def _unmeasured(detail: str) -> Doubt:
    return Doubt(kind="not-measured", detail=detail, origin="rival")


def _compared_enough(measurement: Measurement, number: int) -> bool:
    """Whether most recorded and generated calls ran with the patch before the time was over. Calls that do not end on
    the unchanged commit are not compared with anything. A patch that cannot be applied to the imported program is not
    compared at all, which says nothing about it."""
    results = measurement.patches[number].results
    comparable = sum(call.original.status not in ("hang", "crash") for call in measurement.calls)
    return results is None or sum(r is not None for r in results) >= LEAST_COMPARED * comparable


def _rivals(search: TargetSearch, candidate: Candidate) -> list[Candidate]:
    """The most natural other survivors without a grave doubt, verified ones that are good for a draft included."""
    problem = search.problem
    least = AS_NATURAL * naturalness(candidate, problem)
    others = [*search.survivors, *(draft.candidate for draft in search.drafts)]
    ranked = sorted(((naturalness(c, problem), c) for c in others if c.key != candidate.key), key=lambda item: -item[0])
    found: list[Candidate] = []
    for value, other in ranked:
        if value < least or len(found) == MOST_RIVALS:
            break
        files, before = other.files(problem.sources), other.before(problem.sources)
        change = Change(unified_diff(before, files), files, before)
        if not any(doubt.severity == "fail" for doubt in doubts_of_text(search, change)):
            found.append(other)
    return found


def _measured(attempt: AttemptState, search: TargetSearch, group: Sequence[Candidate], seconds: float) -> Measurement:
    worker = None
    problem = search.problem
    try:
        worker = attempt.take_worker()
        if search.survivors:
            attempt.prepare_worker()
        changes = [change_of(attempt, candidate) for candidate in group]
        root, targets = attempt.checkout.root, problem.targets.tests
        return measure_patches(worker, root, changes, problem.baseline, targets, seconds)
    except WorkerDied as died:
        return Measurement(notes=(f"Nothing was measured beyond the tests: {died}.",))
    finally:
        if worker is not None:
            worker.close()
