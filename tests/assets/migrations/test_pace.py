"""The pace of a build against a simulated model: calls, rests and parts by a clock that only sleeps and calls move."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.migrations.backfill.pace import (
    CHECK_SECONDS,
    FIRST_TEXTS,
    PART_SECONDS,
    SHARE,
    SLICE_SECONDS,
    Pace,
)

MOST = 256


class Build:
    """Embeds parts of at most `MOST` texts with a model whose call takes `latency` plus `per_text` for each text."""

    def __init__(self, share: float, per_text: float, latency: float = 0.0) -> None:
        self.pace = Pace(share, sleep=self._sleep)
        self.per_text, self.latency = per_text, latency
        self.now = self.embedding = 0.0
        self.calls: list[tuple[int, float]] = []
        self.slept: list[float] = []

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def part(self, check: Callable[[], None] = lambda: None) -> float:
        """Embeds one part. Returns the seconds it took."""
        began, left = self.now, self.pace.part(MOST)
        while left:
            texts = self.pace.slice(left)
            self.pace.rest(check)
            seconds = self.latency + texts * self.per_text
            self.calls.append((texts, seconds))
            self.now += seconds
            self.embedding += seconds
            self.pace.embedded(texts, seconds)
            left -= texts
        return self.now - began


@given(st.floats(0.01, 1), st.floats(1e-5, 2), st.floats(0, 1))
@settings(deadline=None, max_examples=50)
def test_it_embeds_for_its_share_of_the_time_whatever_the_model_takes(
    share: float, per_text: float, latency: float
) -> None:
    build = Build(share, per_text, latency)
    for _ in range(10):
        build.part()
    build.pace.rest()
    assert build.embedding / build.now == pytest.approx(share)
    assert all(0 < seconds <= CHECK_SECONDS for seconds in build.slept)


@pytest.mark.parametrize("share", [0.1, SHARE])
@pytest.mark.parametrize("per_text", [0.0001, 0.01, 0.03, 0.4])
def test_calls_are_short_and_parts_are_written_every_few_seconds(share: float, per_text: float) -> None:
    build = Build(share, per_text)
    build.part()
    first = len(build.calls)
    build.part()  # begins with the rest after the first call, whose length was a guess
    took = [build.part() for _ in range(5)]
    longest = max(seconds for _, seconds in build.calls[first:])
    assert longest <= max(SLICE_SECONDS, per_text) + 1e-9
    # One text is the least that a part can have, and its share of rounding.
    assert max(took) <= PART_SECONDS + max(SLICE_SECONDS, per_text) / share


def test_without_rests_a_server_that_answers_many_texts_as_fast_as_few_gets_large_batches() -> None:
    build = Build(1.0, 0.0, latency=0.9)
    for _ in range(6):
        build.part()
    assert build.calls[0][0] == FIRST_TEXTS
    assert build.calls[-1][0] == MOST
    assert build.slept == []


@pytest.mark.parametrize("per_text", [0.5, 1.0])
def test_without_rests_a_slow_model_still_writes_every_few_seconds(per_text: float) -> None:
    build = Build(1.0, per_text)
    assert max(build.part() for _ in range(5)) <= PART_SECONDS


def test_a_stop_during_a_long_rest_is_noticed_within_a_second() -> None:
    build = Build(0.01, 1.0)
    build.part()
    checks = 0

    def stop() -> None:
        nonlocal checks
        checks += 1
        if checks == 3:
            raise InterruptedError

    before = build.now
    with pytest.raises(InterruptedError):
        build.pace.rest(stop)
    assert build.now - before == 2 * CHECK_SECONDS


def test_each_call_is_preceded_by_a_check_also_without_rests() -> None:
    build = Build(1.0, 0.1)
    checked: list[int] = []
    build.part(lambda: checked.append(len(build.calls)))
    assert checked == list(range(len(build.calls)))


@pytest.mark.parametrize("share", [0.0, -0.5, 1.1, float("nan")])
def test_a_share_that_makes_no_sense_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="the share must be above 0"):
        Pace(share)
