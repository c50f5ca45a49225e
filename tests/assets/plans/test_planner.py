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
    plan = make_plan(
        "Broken",
        _context(
            "tests/test_a.py",
            "README.md",
            "a.py",
            "pkg/conftest.py",
            "test.js",
            "b.spec.ts",
            "c_test.go",
            "__tests__/d.js",
        ),
        Budget(),
    )
    (first,) = plan.hypotheses
    assert first.claim == "the fault is in `thing` (a.py:3)"
    assert (first.path, first.start_line, first.end_line) == ("a.py", 3, 9)
    assert first.why == ("named in the traceback",)


def test_a_reason_that_convinces_nobody_is_left_out() -> None:
    (place,) = _context("a.py").locations
    size = Reason(signal="size", detail="a file of 249 terms", contribution=9.0)
    context = _context("a.py").model_copy(update={"locations": (place.model_copy(update={"why": (size, *place.why)}),)})
    assert make_plan("Broken", context, Budget()).hypotheses[0].why == ("named in the traceback",)


def test_tests_are_named_when_nothing_else_was_found() -> None:
    assert "tests/test_a.py" in make_plan("Broken", _context("tests/test_a.py"), Budget()).hypotheses[0].path


def test_an_empty_context_is_stated() -> None:
    assert make_plan("", _context(), Budget()).hypotheses[0].claim.startswith("nothing in the index")
