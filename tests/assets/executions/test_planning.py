"""Revisions of the plan: what each observation changes, and that revisions are bounded."""

from types import SimpleNamespace
from typing import Any

import pytest

from assets.executions.attempt.planning import ENOUGH_TRIED, MOST_REJECTIONS, MOST_REVISIONS, Planning
from assets.executions.engines.protocol import Candidate, Observation
from assets.executions.trial.targets import TargetSet
from assets.plans.planner import make_plan
from core.work import (
    Budget,
    EnvironmentFailure,
    HypothesisState,
    Location,
    Outcome,
    Plan,
    Reason,
    StepKind,
    StepState,
    TaskContext,
    TestRun,
)

TARGETS = TargetSet(("test_a.py::test_f",), "named in the issue")


def place(path: str, first: int, last: int, symbol: str, score: float = 1.0) -> Location:
    why = (Reason(signal="trace", detail="named", contribution=1.0),)
    return Location(path=path, start_line=first, end_line=last, symbol=symbol, score=score, why=why)


def planning(*places: Location) -> tuple[Planning, list[Plan]]:
    context = TaskContext(source="s", commit="c", index_version="1", models=(), locations=places)
    saved: list[Plan] = []
    return Planning(make_plan("T", context, Budget(seconds=60)), saved.append), saved


def baseline(executed: list[tuple[str, int]], *, seconds: float = 0.5, **fields: Any) -> Any:
    outcomes = {TARGETS.tests[0]: Outcome.FAILED, "test_a.py::test_g": Outcome.PASSED}
    run = TestRun(command=("pytest",), outcomes=outcomes, seconds=seconds, exit_code=1)
    hits = {TARGETS.tests[0]: tuple(range(len(executed)))}
    return SimpleNamespace(**{"run": run, "places": tuple(executed), "hits": hits, "environment": (), **fields})


def tried(
    path: str, line: int, status: str = "fail", passed: tuple[int, ...] = (), *, deliberate: bool = False
) -> Observation:
    candidate = Candidate((), "swap:args", 1.0, 1.0, path, line, deliberate=deliberate)
    return Observation(candidate, status, passed)


def states(plan: Plan) -> dict[str, str]:
    return {one.symbol: one.state for one in plan.hypotheses}


def test_what_no_failing_test_executes_is_ruled_out_and_what_they_execute_is_added() -> None:
    plans, saved = planning(place("a.py", 1, 9, "f"), place("b.py", 1, 9, "g"))
    plans.located(7, [place("c.py", 4, 4, "h", 0.9), place("a.py", 3, 3, "f", 0.8), place("c.py", 6, 6, "h", 0.7)],
                  baseline([("a.py", 3), ("c.py", 4), ("c.py", 6)]), TARGETS)  # fmt: skip
    (plan,) = saved
    assert [one.symbol for one in plan.hypotheses] == ["h", "f", "g"]
    assert states(plan) == {"h": "open", "f": "open", "g": "refuted"}
    assert (plan.hypotheses[0].start_line, plan.hypotheses[0].end_line) == (4, 6)
    assert plan.cause is not None
    assert (plan.revision, plan.cause.kind, plan.cause.seq) == (2, "located", 7)
    assert any("Ruled out" in change and "g (b.py:1)" in change for change in plan.changes)


def test_without_coverage_nothing_is_ruled_out() -> None:
    plans, _saved = planning(place("a.py", 1, 9, "f"))
    plans.located(7, [], baseline([]), TARGETS)
    assert states(plans.plan) == {"f": "open"}


def test_a_place_where_nothing_helps_becomes_unlikely() -> None:
    plans, saved = planning(place("a.py", 1, 9, "f"), place("b.py", 1, 9, "g"))
    plans.tried(3, [tried("a.py", 5)] * (ENOUGH_TRIED - 1))
    assert not saved
    plans.tried(4, [tried("a.py", 5)])
    assert [one.symbol for one in plans.plan.hypotheses] == ["g", "f"]
    assert states(plans.plan)["f"] == HypothesisState.UNLIKELY
    assert saved[-1].cause is not None
    assert saved[-1].cause.kind == "no-progress"
    assert saved[-1].reason.endswith(f"{ENOUGH_TRIED} edits tried there, none made a failing test pass")
    plans.tried(5, [tried("b.py", 5)] * ENOUGH_TRIED)
    assert states(plans.plan)["g"] == HypothesisState.OPEN, "the last place stays"


def test_a_place_with_progress_stays() -> None:
    plans, saved = planning(place("a.py", 1, 9, "f"), place("b.py", 1, 9, "g"))
    plans.tried(3, [tried("a.py", 5, passed=(0,))] + [tried("a.py", 5)] * ENOUGH_TRIED)
    assert not saved


def test_one_edit_of_a_model_is_enough() -> None:
    plans, _saved = planning(place("a.py", 1, 9, "f"), place("b.py", 1, 9, "g"))
    plans.tried(3, [tried("a.py", 5, deliberate=True)])
    assert states(plans.plan)["f"] == HypothesisState.UNLIKELY


def test_an_edit_that_passes_supports_its_place() -> None:
    plans, saved = planning(place("a.py", 1, 9, "f"), place("b.py", 1, 9, "g"))
    plans.tried(3, [tried("b.py", 5, "pass", (0,))])
    assert [one.symbol for one in plans.plan.hypotheses] == ["g", "f"]
    assert plans.plan.hypotheses[0].because == "swap args at line 5 makes the failing tests pass"
    plans.tried(4, [tried("b.py", 6, "pass", (0,))])
    assert len(saved) == 1, "it is supported already"
    plans.rejected(5, tried("b.py", 5).candidate, "it breaks test_g")
    assert saved[-1].reason == "the gate rejects the edit of b.py:5: it breaks test_g"


def test_an_edit_that_passes_where_nobody_looked_is_a_new_place() -> None:
    plans, saved = planning(place("a.py", 1, 9, "f"))
    plans.tried(3, [tried("z.py", 5, "pass", (0,)), tried("z.py", 5, "pass", (0,)), tried("z.py", 6)])
    assert [(one.path, one.state) for one in plans.plan.hypotheses] == [("z.py", "supported"), ("a.py", "open")]
    assert len(saved) == 1
    plans.tried(4, [tried("a.py", 5)] * ENOUGH_TRIED)
    assert len(saved) == 1, "what passes is followed, whatever fails elsewhere"


def test_reproduction_marks_its_step_and_says_what_limits_the_search() -> None:
    plans, saved = planning(place("a.py", 1, 9, "f"))
    lacking = EnvironmentFailure(kind="module", missing="the module `redis`", remedy="Declare it.", tests=("t1", "t2"))
    plans.reproduced(2, baseline([], seconds=30, environment=(lacking,)), [TARGETS, TARGETS], ["test_issue.py"])
    (plan,) = saved
    step = next(one for one in plan.steps if one.kind is StepKind.REPRODUCE)
    assert step.state is StepState.DONE
    said = " ".join(plan.changes)
    for part in (
        "If that fails, 1 other set of failing tests is tried.",
        "test_issue.py",
        "needs the module `redis`",
        "The suite is slow (30.0 s)",
    ):
        assert part in said
    assert plan.cause is not None
    assert plan.cause.kind == "derived-test"


def test_without_reproduction_the_rest_is_dropped() -> None:
    plans, saved = planning(place("a.py", 1, 9, "f"))
    plans.not_reproduced(2, "Not reproduced: none of the 3 tests fails.")
    by_kind = {step.kind: step.state for step in saved[-1].steps}
    assert by_kind[StepKind.EDIT] is StepState.DROPPED
    assert by_kind[StepKind.PUBLISH] is StepState.PLANNED


def test_other_tests_open_what_was_unlikely() -> None:
    plans, _saved = planning(place("a.py", 1, 9, "f"), place("b.py", 1, 9, "g"))
    plans.tried(3, [tried("a.py", 5)] * ENOUGH_TRIED)
    plans.other_tests(4, TARGETS, 1)
    assert plans.plan.reason == "1 set of failing tests led to no patch so far"
    assert set(states(plans.plan).values()) == {"open"}
    plans.tried(5, [tried("a.py", 5)])
    assert set(states(plans.plan).values()) == {"open"}, "it is counted anew"
    plans.other_tests(9, TARGETS, 1)
    assert sum(step.detail.startswith(TARGETS.tests[0]) for step in plans.plan.steps) == 1


def test_revisions_are_bounded() -> None:
    plans, saved = planning(place("a.py", 1, 9, "f"))
    for seq in range(100):
        plans.rejected(seq, tried("a.py", 5).candidate, "no " * 10_000)
    assert len(saved) == MOST_REJECTIONS
    assert len(saved[-1].reason) <= 300
    for seq in range(100):
        plans.other_tests(seq, TARGETS, 1)
    assert len(saved) == MOST_REVISIONS - 1


def test_what_no_patch_may_change_is_ruled_out() -> None:
    plans, _saved = planning(place("a.py", 1, 9, "f"), place("b.py", 1, 9, "g"))
    plans._is_program = lambda path: path == "b.py"
    plans.located(7, [], baseline([("a.py", 3), ("b.py", 3)]), TARGETS)
    assert states(plans.plan) == {"g": "open", "f": "refuted"}
    assert plans.plan.hypotheses[1].because == "a patch may not change it"


@pytest.mark.parametrize("patch", [True, False])
def test_the_end_says_what_came_of_the_steps(patch: bool) -> None:
    plans, saved = planning(place("a.py", 1, 9, "f"))
    plans.reproduced(2, baseline([]), [TARGETS], [])
    plans.ended(9, patch=patch)
    by_kind = {step.kind: (step.state, step.outcome) for step in saved[-1].steps}
    assert by_kind[StepKind.EDIT] == (StepState.DONE, "a patch was found" if patch else "no patch was found")
    assert by_kind[StepKind.VERIFY][0] is (StepState.DONE if patch else StepState.DROPPED)
    assert saved[-1].cause is not None
    assert (saved[-1].cause.kind, saved[-1].cause.seq) == ("ended", 9)


def test_where_nothing_was_reproduced_nothing_was_tried() -> None:
    plans, saved = planning(place("a.py", 1, 9, "f"))
    plans.ended(9, patch=False)
    assert {step.state for step in saved[-1].steps if step.kind is StepKind.EDIT} == {StepState.DROPPED}
    plans.not_reproduced(10, "Not reproduced.")
    before = len(saved)
    plans.ended(11, patch=False)
    assert len(saved) == before
