"""A patch that could not be compared for want of time is good for a draft only."""

from types import SimpleNamespace
from typing import Any

import pytest

from assets.executions.attempt.scrutiny import (
    CROWD,
    LEAST_COMPARED,
    _changed_tests,
    _compared_enough,
    _judged,
    crowd_doubt,
    scrutinise,
)
from assets.executions.engines.protocol import Candidate
from assets.executions.judging.behaviour.measure import Measured, MeasuredCall, Measurement, Result
from assets.executions.judging.verify import Change

CALLS = tuple(MeasuredCall(0, "variation", "", Result("value"), steady=True) for _ in range(10))


@pytest.mark.parametrize("ran", range(11))
def test_most_calls_must_have_run_with_the_patch(ran: int) -> None:
    results = tuple(Result("value") if number < ran else None for number in range(10))
    measurement = Measurement(calls=CALLS, patches=(Measured(results),))
    assert _compared_enough(measurement, 0) is (ran >= LEAST_COMPARED * 10)


def test_a_patch_that_cannot_be_applied_to_the_imported_program_is_not_blamed() -> None:
    assert _compared_enough(Measurement(calls=CALLS, patches=(Measured(None),)), 0)


def test_a_change_without_recorded_calls_is_not_blamed() -> None:
    assert _compared_enough(Measurement(patches=(Measured(()),)), 0)


def test_a_rival_that_could_not_be_compared_makes_a_draft() -> None:
    whole, none = Measured((Result("value"),) * 10), Measured((None,) * 10)
    assert _judged(Measurement(calls=CALLS, patches=(whole,)), 0).doubts == ()
    assert [d.kind for d in _judged(Measurement(calls=CALLS, patches=(whole, none)), 0).doubts] == ["not-measured"]
    assert [d.kind for d in _judged(Measurement(calls=CALLS, patches=(whole, none)), 1).doubts] == ["not-measured"]
    assert [d.kind for d in _judged(Measurement(), 0).doubts] == ["not-measured"]


@pytest.mark.parametrize(
    ("calls", "rivals", "lost", "kinds"),
    [
        (0, 1, "45 calls were not recorded: iterator", ["not-measured"]),
        (0, 0, "45 calls were not recorded: iterator", []),
        (0, 1, "", []),
        (8, 1, "45 calls were not recorded: iterator", []),
    ],
)
def test_rivals_that_no_call_tells_apart_make_a_draft(calls: int, rivals: int, lost: str, kinds: list[str]) -> None:
    patches = (Measured((Result("value"),) * calls),) * (1 + rivals)
    found = _judged(Measurement(calls=CALLS[:calls], patches=patches, lost=lost), 0)
    assert [doubt.kind for doubt in found.doubts] == kinds


def test_a_patch_that_is_one_of_many_is_good_for_a_draft() -> None:
    doubt = crowd_doubt(CROWD + 1)
    assert doubt is not None and doubt.severity == "draft" and f"{CROWD + 1} other edits" in doubt.detail
    assert crowd_doubt(CROWD) is None and crowd_doubt(0) is None and crowd_doubt(-1) is None


@pytest.mark.parametrize(("passing", "kinds"), [(CROWD + 2, {"open-tests"}), (CROWD + 1, set())])
def test_edits_that_break_other_tests_are_counted_among_the_many(passing: int, kinds: set[str]) -> None:
    whole = Measurement(calls=CALLS, patches=(Measured((Result("value"),) * 10),))
    findings = SimpleNamespace(survivors=1, passed_targets=passing, spent=lambda *_: None)
    attempt: Any = SimpleNamespace(
        native=None, journal=SimpleNamespace(now=lambda: 0.0), record=lambda *_: None, findings=findings
    )
    search: Any = SimpleNamespace(measurements=SimpleNamespace(find=lambda _: (whole, 0)))
    found = scrutinise(attempt, search, Candidate((), "compare:operator", 1.0, 1.0, "m.py", 1))
    assert {doubt.kind for doubt in found.doubts} == kinds


RUST = """pub fn two() -> i32 { 3 }

#[cfg(test)]
mod tests {
    #[test]
    fn is_two() { assert_eq!(super::two(), 2) }
}
"""


@pytest.mark.parametrize(
    ("after", "graves"),
    [
        (RUST.replace("{ 3 }", "{ 2 }"), 0),
        (RUST.replace("assert_eq!(super::two(), 2)", ""), 1),
        (None, 1),
    ],
)
def test_tests_inside_of_a_source_of_rust_may_not_be_changed(after: str | None, graves: int) -> None:
    found = _changed_tests(Change("", {"src/lib.rs": after}, {"src/lib.rs": RUST}))
    assert len(found) == graves
    assert all(doubt.severity == "fail" and "src/lib.rs" in doubt.detail for doubt in found)
