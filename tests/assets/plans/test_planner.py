from assets.plans.planner import make_plan
from core.work import Budget, Location, Reason, StepKind, TaskContext


def _context(*paths: str) -> TaskContext:
    return TaskContext(
        source="s",
        commit="c",
        index_version="1",
        models=(),
        locations=tuple(
            Location(
                path=path,
                start_line=3,
                end_line=9,
                symbol="thing",
                score=1.0,
                why=(Reason(signal="trace", detail="named in the traceback", contribution=1.0),),
            )
            for path in paths
        ),
    )


def test_a_plan_holds_every_kind_of_step_in_order() -> None:
    plan = make_plan("Broken", _context("a.py"), Budget())
    assert [step.kind for step in plan.steps] == list(StepKind)
    assert plan.revision == 1


def test_hypotheses_name_sources_before_tests() -> None:
    plan = make_plan("Broken", _context("tests/test_a.py", "a.py", "pkg/conftest.py"), Budget())
    assert len(plan.hypotheses) == 1
    assert "a.py:3" in plan.hypotheses[0]
    assert "named in the traceback" in plan.hypotheses[0]


def test_tests_are_named_when_nothing_else_was_found() -> None:
    assert "tests/test_a.py" in make_plan("Broken", _context("tests/test_a.py"), Budget()).hypotheses[0]


def test_an_empty_context_is_stated() -> None:
    assert make_plan("", _context(), Budget()).hypotheses == ("nothing in the index resembles the task",)
