"""A patch that could not be compared for want of time is good for a draft only."""

import pytest

from assets.executions.attempt.scrutiny import LEAST_COMPARED, _compared_enough, _judged
from assets.executions.judging.behaviour.measure import Measured, MeasuredCall, Measurement, Result

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
