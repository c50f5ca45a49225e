"""The checker itself: it accepts what may happen, and refuses what may not."""

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from tests.objects.linearizability import Operation, a_set, is_linearizable, register


def test_a_stale_read_is_refused_and_a_concurrent_one_accepted() -> None:
    write, stale = Operation(("write", 1), None, 0, 1), Operation(("read",), None, 2, 3)
    assert not is_linearizable([write, stale], None, register)
    assert is_linearizable([write, Operation(("read",), None, 0.5, 3)], None, register)
    assert is_linearizable([write, Operation(("read",), 1, 0.5, 3)], None, register)


def test_two_that_succeed_where_one_could_are_refused() -> None:
    calls = [Operation(("cas", None, n), True, 0, 2) for n in (1, 2)]
    assert not is_linearizable(calls, None, register)
    assert not is_linearizable([Operation(("add", 1), True, 0, 2)] * 2, frozenset(), a_set)


def test_a_call_of_unknown_outcome_may_have_happened_or_not() -> None:
    lost = Operation(("write", 1), None, 0)
    for value in (None, 1):
        assert is_linearizable([lost, Operation(("read",), value, 5, 6)], None, register)
    back = [lost, Operation(("read",), 1, 5, 6), Operation(("read",), None, 7, 8)]
    assert not is_linearizable(back, None, register)


@given(
    st.lists(
        st.tuples(
            st.sampled_from((("read",), ("write", 1), ("write", 2), ("cas", 1, 2), ("cas", None, 1))),
            st.sampled_from((None, 1, 2, True, False)),
            st.integers(0, 6),
            st.integers(1, 4),
        ),
        max_size=5,
    )
)
def test_it_agrees_with_trying_all_orders(given: list[tuple[tuple[object, ...], object, int, int]]) -> None:
    calls = [Operation(what, result, start, start + took) for what, result, start, took in given]

    def fits(order: tuple[Operation, ...]) -> bool:
        state: object = None
        for number, one in enumerate(order):
            if any(later.end < one.start for later in order[number + 1 :]):
                return False
            state, result = register(state, one.what)  # type: ignore[arg-type]
            if result != one.result:
                return False
        return True

    assert is_linearizable(calls, None, register) == any(fits(order) for order in permutations(calls))
