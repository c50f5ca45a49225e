"""Where the fault may be, and which failing tests the issue is about."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.executions.engines.search.source import SourceFile, Unreadable
from assets.executions.engines.search.spectrum import ochiai, rank
from assets.executions.engines.search.symptoms import read_symptoms
from assets.executions.tokenizer import identifiers, literals, similarity, words
from assets.executions.trial.baseline import Baseline, Failure
from assets.executions.trial.relation.measure import THRESHOLD
from assets.executions.trial.targets import Targets
from core.work import Location, Outcome, TaskContext, TaskText, TestRun

from .conftest import write_files

CODE = "def add(a, b):\n    c = a\n    return c - b\n\ndef sub(a, b):\n    return a - b\n"


def baseline(
    hits: dict[str, tuple[int, ...]], failures: dict[str, tuple[Failure, ...]], places: list[tuple[str, int]]
) -> Baseline:
    outcomes = {t: Outcome.FAILED if t in failures else Outcome.PASSED for t in [*hits, *failures]}
    run = TestRun(command=("pytest",), outcomes=outcomes, seconds=1, exit_code=1)
    return Baseline(run, tuple(outcomes), failures, {}, tuple(places), hits, frozenset(), frozenset(), frozenset())


def context(*locations: Location) -> TaskContext:
    return TaskContext(source="s", commit="0" * 40, index_version="1", models=(), locations=locations)


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 50))
def test_ochiai_is_between_zero_and_one(ef: int, ep: int, failing: int) -> None:
    value = ochiai(min(ef, failing), ep, failing)
    assert 0 <= value <= 1
    assert ochiai(failing, 0, failing) == pytest.approx(1)


def test_statements_that_only_failing_tests_run_come_first() -> None:
    source = SourceFile("m.py", CODE.encode())
    hits = {"t::add": (0, 1), "t::sub": (2,), "t::add_zero": (0,)}
    failing = {"t::add": (Failure("AssertionError", "assert 1 == 3"),)}
    found = rank(
        baseline(hits, failing, [("m.py", 2), ("m.py", 3), ("m.py", 6)]), ("t::add",), context(), "", lambda _: source
    )
    assert found[0].statement.lineno == 3
    assert all(suspect.statement.lineno != 6 or suspect.score < found[0].score for suspect in found)


def test_the_stack_the_context_and_the_issue_add_to_the_score() -> None:
    source = SourceFile("m.py", CODE.encode())
    failure = Failure("TypeError", "x", (("tests/t.py", 1, "t"), ("m.py", 6, "sub")))
    made = baseline({"t::x": (0, 1)}, {"t::x": (failure,)}, [("m.py", 3), ("m.py", 6)])
    where = Location(path="m.py", start_line=5, end_line=6, symbol="sub", score=1.0)
    found = rank(made, ("t::x",), context(where), "`sub` is wrong", lambda _: source)
    assert found[0].statement.lineno == 6
    assert {reason.signal for reason in found[0].why} == {"ochiai", "stack", "context", "issue"}


def test_tests_that_fail_for_another_reason_are_left_out_of_the_first_target_set(tmp_path: Path) -> None:
    write_files(
        tmp_path,
        {
            "tests/test_a.py": "def test_total():\n    assert total([1]) == 1\n\ndef test_network():\n    connect('db')\n"  # noqa: E501
        },
    )
    failures = {
        "tests/test_a.py::test_total": (Failure("AssertionError", "assert 0 == 1", (("cart.py", 3, "total"),)),),
        "tests/test_a.py::test_network": (Failure("ConnectionError", "refused", (("net.py", 9, "connect"),)),),
    }
    task = TaskText(title="total() of one item is 0", body="I expect `total([1])` to be 1.")
    sets = Targets(tmp_path, baseline({}, failures, []), task).sets()
    assert [s.tests for s in sets] == [("tests/test_a.py::test_total",)]
    assert sets[0].relation is not None and sets[0].relation.related


def test_tests_that_are_only_together_about_a_task_are_repaired_together(tmp_path: Path) -> None:
    tests = {
        "loud": "assert known('loud') is None",
        "warn": "assert counts('warn') == 4",
        "pear": "assert weight('pear') == 4",
    }
    text = "\n\n".join(f"def test_{name}():\n    {body}" for name, body in tests.items())
    write_files(tmp_path, {"tests/test_mail.py": text})
    failing = Failure("AssertionError", "assert 3 == 4")
    failures = {f"tests/test_mail.py::test_{name}": (failing,) for name in tests}
    title = "Entries of level warn and the weights are too low"
    _, warn, pear = failures
    found = Targets(tmp_path, baseline({}, failures, []), TaskText(title=title))
    sets = found.sets()
    assert (warn, pear) in [one.tests for one in sets] and sets[-1].tests == (pear,)
    first, last = sets[0].relation, sets[-1].relation
    assert first is not None and last is not None and last.score < THRESHOLD <= first.score


def test_a_task_that_fits_no_failing_test_gets_a_question(tmp_path: Path) -> None:
    failures = {
        "tests/test_a.py::test_x": (Failure("KeyError", "q", (("a.py", 3, "x"),)),),
        "tests/test_a.py::test_y": (Failure("ValueError", "r", (("b.py", 9, "y"),)),),
    }
    found = Targets(tmp_path, baseline({}, failures, []), TaskText(title="Please add a dark mode"))
    assert found.sets() == [] and found.related == []
    assert "tests/test_a.py::test_x (KeyError: q)" in found.question()


@pytest.mark.parametrize("title", ["The test suite is red", "Fix the failing tests", "CI fails on main"])
def test_a_request_for_the_failing_tests_means_all_of_them(tmp_path: Path, title: str) -> None:
    failures = {
        "tests/test_a.py::test_x": (Failure("KeyError", "q", (("a.py", 3, "x"),)),),
        "tests/test_a.py::test_y": (Failure("ValueError", "r", (("b.py", 9, "y"),)),),
    }
    found = Targets(tmp_path, baseline({}, failures, []), TaskText(title=title))
    assert set(found.sets()[0].tests) == set(failures)


def test_a_test_that_the_task_names_represents_it(tmp_path: Path) -> None:
    failures = {f"tests/test_a.py::{name}": (Failure("KeyError", "q"),) for name in ("test_apples", "test_pears")}
    task = TaskText(title="Please make test_pears pass")
    assert Targets(tmp_path, baseline({}, failures, []), task).related == ["tests/test_a.py::test_pears"]


def test_symptoms_are_read_from_failures() -> None:
    found = read_symptoms(
        [
            Failure("AttributeError", "'NoneType' object has no attribute 'name'"),
            Failure("TypeError", "f() missing 1 required positional argument: 'size'"),
            Failure("Failed", "DID NOT RAISE <class 'pkg.errors.Refused'>"),
            Failure("AssertionError", "3 != 4"),
        ],
        [],
        "off by one",
    )
    assert ("NoneType", "name") in found.missing_attributes
    assert found.missing_arguments == {"size"}
    assert found.not_raised and "Refused" in found.expected_raise
    assert (3, 4) in found.values
    assert found.boost("compare:operator") > 1


@given(st.text(max_size=200))
def test_reading_words_never_fails(text: str) -> None:
    words(text), identifiers(text), literals(text), read_symptoms([Failure("E", text)], [text], text)


@given(st.from_regex(r"[a-z_]{1,12}", fullmatch=True), st.from_regex(r"[a-z_]{1,12}", fullmatch=True))
def test_similarity_is_symmetric_enough_to_order_by(one: str, other: str) -> None:
    assert similarity(one, one) == 1
    assert 0 <= similarity(one, other) <= 1


def test_a_file_that_is_not_utf_8_is_named_and_left_out() -> None:
    with pytest.raises(Unreadable, match=r"m\.py is left out: it is not UTF-8 \(byte 8\)"):
        SourceFile("m.py", b"name = '\xff'\n")
