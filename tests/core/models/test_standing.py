"""When a backend is taken out for its failures, and when it is tried again."""

from hypothesis import given
from hypothesis import strategies as st

from core.models.standing import FIRST_PAUSE, IN_A_ROW, LONGEST_PAUSE, Standing, failed, reached_again, succeeded


def test_failures_in_a_row_open_it() -> None:
    standing = Standing()
    for _ in range(IN_A_ROW - 1):
        standing = failed(standing, 0.0)
    assert standing.closed()
    standing = failed(standing, 0.0)
    assert not standing.closed() and standing.until == FIRST_PAUSE


def test_every_second_failure_opens_it_too() -> None:
    standing = Standing()
    for number in range(11):
        assert standing.closed()
        standing = succeeded(standing, 0.0) if number % 2 else failed(standing, 0.0)
    assert not standing.closed()


def test_a_few_failures_among_many_answers_do_not() -> None:
    standing = Standing()
    for number in range(1000):
        standing = failed(standing, 0.0) if number % 5 == 0 else succeeded(standing, 0.0)
        assert standing.closed()


def test_a_server_that_cannot_be_reached_is_out_at_once_and_in_when_a_probe_finds_it() -> None:
    standing = failed(Standing(), 10.0, at_once=True)
    assert standing.until == 11.0
    back = reached_again(standing, 10.2)
    assert back.on_trial(10.2) and not back.closed()
    assert succeeded(back, 10.3).closed()


def test_each_failed_trial_doubles_the_pause_to_a_limit() -> None:
    standing, now, pauses = failed(Standing(), 0.0, at_once=True), 0.0, []
    for _ in range(9):
        assert standing.until is not None
        pauses.append(standing.until - now)
        now = standing.until
        assert standing.on_trial(now)
        standing = failed(standing, now)
    assert pauses[:4] == [1, 2, 4, 8] and max(pauses) == LONGEST_PAUSE


def test_answers_to_requests_from_before_it_opened_change_nothing() -> None:
    standing = failed(Standing(), 0.0, at_once=True)
    assert succeeded(standing, 0.5) == standing
    assert failed(standing, 0.5) == standing


def test_what_failures_say_fades_so_that_an_avoided_server_is_taken_back() -> None:
    standing = failed(Standing(), 100.0)
    assert standing.rate(100.0) > 0.3
    assert standing.rate(130.0) < standing.rate(110.0) / 3


@given(st.lists(st.tuples(st.sampled_from("sfap"), st.floats(0, 30)), max_size=60))
def test_whatever_happens_it_is_open_for_a_bounded_time_and_its_rate_is_a_share(steps: list[tuple[str, float]]) -> None:
    standing, now = Standing(), 0.0
    for what, later in steps:
        now += later
        if what == "s":
            standing = succeeded(standing, now)
        elif what == "p":
            standing = reached_again(standing, now)
        else:
            standing = failed(standing, now, at_once=what == "a")
        assert 0 <= standing.rate(now) < 1
        assert standing.until is None or standing.until <= now + LONGEST_PAUSE
        assert standing.closed() or standing.openings > 0
