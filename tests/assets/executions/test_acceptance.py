"""An attempt accepts exactly what the gate accepts, and a candidate that is rejected does not end the search."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.executions.attempt import execute, survivors
from assets.executions.attempt.scrutiny import Scrutiny
from assets.executions.attempt.state import AttemptInput, AttemptState, Callbacks
from assets.executions.attempt.try_candidates import TargetSearch
from assets.executions.engines.protocol import Candidate, FileChange, Problem
from assets.executions.judging.diff import unified_diff
from assets.executions.judging.gate import judge
from assets.executions.judging.verify import Change, Verification
from assets.executions.repository.checkout import Checkout
from assets.executions.repository.settings import RepositorySettings
from assets.executions.trial.baseline import Baseline
from assets.executions.trial.targets import TargetSet
from core.work import (
    Budget,
    Evidence,
    Execution,
    Outcome,
    Patch,
    Plan,
    Relation,
    TaskContext,
    TaskText,
    TestRun,
    VerdictKind,
)

from .conftest import Files
from .scripted_engine import ScriptedEngine, replacing

COMMIT = "0" * 40
RELATED = Relation(related=True, score=9.0, threshold=6.5)
TESTS = [f"t.py::{name}" for name in "abcdef"]


class _Nowhere:
    """A sandbox that is never opened."""

    name = "nowhere"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkout")
    (folder / "shop.py").write_text("a = 1\nb = 1\n")
    (folder / "rates.json").write_text("{}\n")
    return folder


def begun(root: Path, baseline: Baseline, targets: tuple[str, ...]) -> tuple[AttemptState, TargetSearch]:
    """An attempt that is about to verify its candidates."""
    context = TaskContext(source="s", commit=COMMIT, index_version="1", models=(), locations=())
    plan = Plan(goal="", hypotheses=(), steps=(), acceptance=(), budget=Budget(seconds=600))
    inputs = AttemptInput(TaskText(title="It"), context, plan, Checkout(root, COMMIT, RepositorySettings()))
    attempt = AttemptState(inputs, ScriptedEngine(lambda _: iter(())), _Nowhere(), Callbacks())  # type: ignore[arg-type]
    attempt.findings.baseline, attempt.findings.targets = baseline, TargetSet(targets, "", RELATED)
    problem = Problem(
        "It", TargetSet(targets, "", RELATED), baseline, context, attempt.files, {}, lambda: False, root, 0.0, print,
        attempt.files.refusal,
    )  # fmt: skip
    return attempt, TargetSearch(problem, attempt.engine.start(problem), None)  # type: ignore[arg-type]


def run_of(outcomes: dict[str, Outcome], **fields: Any) -> TestRun:
    return TestRun(command=("pytest",), outcomes=outcomes, seconds=1.0, exit_code=0, **fields)


def baseline_of(run: TestRun, flaky: tuple[str, ...] = ()) -> Baseline:
    nothing: frozenset[Any] = frozenset()
    return Baseline(run, tuple(run.outcomes), {}, {}, (), {}, nothing, nothing, nothing, flaky)


def measuring(attempt: AttemptState, verify: Callable[[Change], Verification]) -> Any:
    """Replaces verification by `verify`, so that it needs no worker."""
    attempt.command = None  # type: ignore[assignment]
    attempt.take_worker = attempt.prepare_worker = lambda: None  # type: ignore[method-assign,assignment,return-value]
    return patch.multiple(
        survivors,
        verify=lambda worker, root, change, suite, allowance: verify(change),
        scrutinise=lambda *_: Scrutiny(),
        doubts_of_text=lambda *_: (),
    )


outcomes = st.dictionaries(st.sampled_from(TESTS), st.sampled_from(Outcome), max_size=6)
limits = st.sampled_from([None, "wall"])
runs = st.builds(run_of, outcomes, complete=st.booleans(), limit=limits)
# Most evidence that is drawn at random is bad: some is made from good evidence.
better = st.builds(
    lambda before, worse: (run_of(before), run_of({t: worse.get(t, Outcome.PASSED) for t in before})),
    st.dictionaries(st.sampled_from(TESTS), st.sampled_from([Outcome.PASSED, Outcome.FAILED]), min_size=2),
    st.dictionaries(st.sampled_from(TESTS), st.sampled_from(Outcome), max_size=1),
)
candidates = st.sampled_from(
    [
        Candidate((), "o", 1.0, 1.0, change.path, 1, whole=(change,))
        for change in (
            FileChange("new.py", None, "x = 1\n"), FileChange("tests/test_new.py", None, "x = 1\n"),
            FileChange("pytest.ini", None, "[pytest]\n"), FileChange("rates.json", "{}\n", '{"a": 1}\n'),
        )
    ]
)  # fmt: skip


@given(
    st.one_of(st.tuples(runs, runs), better),
    st.one_of(st.none(), st.lists(st.sampled_from(TESTS), max_size=3, unique=True)),
    st.sampled_from([True, True, True, False, None]),
    st.sampled_from(["tests", "tests", "issue", "none"]),
    st.lists(st.sampled_from(TESTS), max_size=1),
    candidates,
)
def test_what_is_accepted_is_exactly_what_the_gate_does_not_fail(
    root: Path,
    measured: tuple[TestRun, TestRun],
    chosen: list[str] | None,
    applies: bool | None,
    reproduction: str,
    flaky: list[str],
    candidate: Candidate,
) -> None:
    before, after = measured
    targets = tuple(sorted(before.failing()) if chosen is None else chosen)
    attempt, search = begun(root, baseline_of(before), targets)
    attempt.findings.reproduction = reproduction
    search.survivors.append(candidate)
    said = Verification(applies, after if applies else None, tuple(flaky))
    with measuring(attempt, lambda change: said):
        found, observed = survivors.verify_survivors(attempt, search)
    others = [change.path for change in candidate.whole if attempt.files.refusal(change.path) is None]
    evidence = Evidence(
        sandbox="nowhere",
        reproduction=reproduction,
        target_tests=targets,
        relation=RELATED,
        before=before,
        after=said.after,
        applies=applies,
        changed_paths=(candidate.path,),
        allowed_paths=("shop.py", *others),
        flaky=tuple(flaky),
    )
    diff = unified_diff(candidate.before({}), candidate.files({}))
    verdict = judge(evidence, Patch(base_commit=COMMIT, diff=diff))
    assert (found is not None) is (verdict.verdict is VerdictKind.PASS)
    assert bool(search.drafts) is (verdict.verdict is VerdictKind.DRAFT)
    told = [one for one in observed if one.status == "rejected"]
    assert len(told) == attempt.findings.rejected == (verdict.verdict is VerdictKind.FAIL)
    accepted = found or execute._best_draft(search)
    if accepted is not None:
        done = attempt.findings.ended(accepted.patch, "", accepted.evidence)
        assert judge(done.evidence, accepted.patch) == verdict, "the same verdict on what is stored"


def _many(root: Path, count: int) -> tuple[AttemptState, TargetSearch]:
    baseline = baseline_of(run_of({"t.py::a": Outcome.FAILED, "t.py::b": Outcome.SKIPPED}))
    attempt, search = begun(root, baseline, ("t.py::a",))
    attempt.findings.reproduction = "tests"
    attempt.findings.tried = attempt.findings.passed_targets = attempt.findings.survivors = count
    for number in range(count):
        search.survivors.append(replacing(search.problem, "shop.py", "b = 1", f"b = {number}", 1 / (number + 1)))
    return attempt, search


def _good_is(number: int | None) -> Callable[[Change], Verification]:
    def verify(change: Change) -> Verification:
        good = number is not None and f"+b = {number}\n" in change.diff
        outcome = Outcome.SKIPPED if good else Outcome.FAILED
        return Verification(True, run_of({"t.py::a": Outcome.PASSED, "t.py::b": outcome}))

    return verify


@pytest.mark.parametrize("good", [0, survivors.VERIFIED_PER_ROUND + 5])
def test_a_good_survivor_is_found_however_many_are_rejected_before_it(root: Path, good: int) -> None:
    attempt, search = _many(root, survivors.VERIFIED_PER_ROUND + 6)
    with measuring(attempt, _good_is(good)), patch.object(execute, "try_candidates"):
        found = execute._continue_search(attempt, search, attempt.journal.now() + 60)
    assert found is not None and f"+b = {good}\n" in found.patch.diff
    assert attempt.findings.rejected == good


def test_the_summary_says_what_was_rejected(root: Path) -> None:
    attempt, search = _many(root, 10)
    with measuring(attempt, _good_is(None)), patch.object(execute, "try_candidates"):
        assert execute._continue_search(attempt, search, attempt.journal.now() + 60) is None
    text = attempt.findings.no_patch_summary("the script is at its end")
    assert "10 candidates were tried; 10 made the failing tests pass (10 rejected by the gate)." in text
    assert "rejected: t.py::b is worse with the patch." in text
    attempt, search = _many(root, 10)
    with measuring(attempt, _good_is(None)), patch.object(execute, "try_candidates"):
        execute._continue_search(attempt, search, attempt.journal.now())
    rejected = survivors.VERIFIED_PER_ROUND
    counted = f"({rejected} rejected by the gate, {10 - rejected} others not verified)"
    assert counted in attempt.findings.no_patch_summary("")


PAGES = "def pages(count, size):\n    return count // size\n"
SKIPPING = """
import pytest
from mod import pages

def test_rest():
    assert pages(11, 5) == 3

def test_even():
    if pages(11, 5) != 3:
        pytest.skip("not before the last page is counted")
    assert pages(10, 5) == 2
"""
BAD, GOOD = "count // size + 1", "-(-count // size)"


def test_a_candidate_that_breaks_a_test_that_was_skipped_is_not_the_patch(repair: Callable[..., Execution]) -> None:
    """The first candidate makes the failing test pass, and a test fail that was skipped before."""

    def script(problem: Problem) -> Iterator[Candidate]:
        yield replacing(problem, "mod.py", "count // size", BAD, priority=1.0)
        yield replacing(problem, "mod.py", "count // size", GOOD, priority=0.01)

    engine = ScriptedEngine(script)
    files: Files = {"mod.py": PAGES, "test_mod.py": SKIPPING}
    done = repair(files, "pages() forgets the last page", engine=engine)
    assert done.patch is not None and GOOD in done.patch.diff, done.summary


def test_the_summary_names_the_test_that_a_rejected_candidate_breaks(repair: Callable[..., Execution]) -> None:
    engine = ScriptedEngine(lambda problem: iter([replacing(problem, "mod.py", "count // size", BAD)]))
    files: Files = {"mod.py": PAGES, "test_mod.py": SKIPPING}
    done = repair(files, "pages() forgets the last page", engine=engine, seconds=60)
    assert done.patch is None and "test_even is worse with the patch" in done.summary
    assert [o.status for o in engine.observed] == ["pass", "rejected"]


def test_time_that_other_tests_do_not_need_goes_to_those_that_were_cut_short(repair: Callable[..., Execution]) -> None:
    """Another test fails for the same cause; the fix for the one that the task is about comes after its share."""

    def script(problem: Problem) -> Iterator[Candidate]:
        number = 0
        while problem.clock() < problem.until:
            number += 1
            yield replacing(problem, "mod.py", "count // size", f"count // size - {number}")
        if problem.targets.tests == ("test_mod.py::test_rest",):
            yield replacing(problem, "mod.py", "count // size", GOOD)

    tests = "from mod import other, pages\n\ndef test_rest():\n    assert pages(11, 5) == 3\n\ndef test_other():\n    assert other() == 1\n"  # noqa: E501
    files: Files = {"mod.py": PAGES + "\n\ndef other():\n    return 2\n", "test_mod.py": tests}
    plans: list[Plan] = []
    done = repair(files, "pages() forgets the rest", engine=ScriptedEngine(script), seconds=16, revise=plans.append)
    assert done.patch is not None and GOOD in done.patch.diff, done.summary
    assert done.evidence.target_tests == ("test_mod.py::test_rest",)
    assert len(plans) >= 2, "it was taken up again after the others"
