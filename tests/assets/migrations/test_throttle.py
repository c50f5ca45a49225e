"""The throttle against a simulated machine: a clock of its own, searches that embedding slows down, changing load."""

import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.migrations.backfill import monitor
from assets.migrations.backfill.monitor import INDEXING, SEARCH, Indexing, TrafficMonitor
from assets.migrations.backfill.probe import ProbeFailed, ProbeQuery, Timing
from assets.migrations.backfill.throttle import COMPARE_SECONDS, LONGEST_REST, SETTLE_SECONDS, Limits, Throttle
from assets.migrations.lifecycle.drive import drive
from assets.platform import Platform
from core.embedding.spec import BuiltIn
from core.statistics import percentile
from core.teams import DEFAULT_TEAM

GOOD = BuiltIn(name="good", provider="hashing", dimensions=512)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


Law = Callable[[float], float]


class Machine:
    """Searches take about 20 ms, times `load` for other work, times `harm` while something is embedded. A share `tail`
    of them takes ten times as long for no reason."""

    def __init__(self, throttle: Throttle, clock: Clock, harm: Law, load: Law, tail: float) -> None:
        self.throttle = throttle
        self.clock = clock
        self.harm = harm
        self.load = load
        self.tail = tail
        self.rng = random.Random(1)  # noqa: S311
        self.seen: list[float] = []
        self.turns: list[tuple[float, float]] = []

    def search(self, began: float) -> float:
        taken = 0.02 * self.rng.uniform(0.8, 1.2) * self.load(began) * (10 if self.rng.random() < self.tail else 1)
        # Old turns cannot overlap: skip them.
        met = any(turn_began < began + taken and began < turn_ended for turn_began, turn_ended in self.turns[-60:])
        return taken * (self.harm(began) if met else 1.0)

    def warm_up(self) -> None:
        self.clock.now += 1
        for _ in range(40):
            self.throttle.record(SEARCH, self.search(self.clock.now), self.clock.now)
            self.clock.now += 0.1

    def run(self, seconds: float) -> float:
        """Embeds and rests as the throttle says, a search about every 0.2 s. Returns the share of time embedding."""
        began = asked = self.clock.now
        embedded = 0.0
        while self.clock.now < began + seconds:
            texts = self.throttle.slice(256)
            spent = texts / 400
            self.throttle.begin()
            self.turns.append((self.clock.now, self.clock.now + spent))
            self.clock.now += spent
            embedded += spent
            self.throttle.end(texts, spent)
            while asked < self.clock.now:
                taken = self.search(asked)
                self.seen.append(taken)
                self.throttle.record(SEARCH, taken, asked)
                asked += self.rng.expovariate(5.0)
        return embedded / (self.clock.now - began)


def always(times: float) -> Law:
    return lambda now: times


ALONE = always(1)


def machine(harm: Law, load: Law = ALONE, tail: float = 0.0) -> tuple[Throttle, Machine]:
    clock = Clock()
    throttle = Throttle(clock=clock, sleep=clock.sleep, chance=random.Random(1))  # noqa: S311
    return throttle, Machine(throttle, clock, harm, load, tail)


def test_searches_that_are_not_slowed_let_it_embed_all_the_time_but_for_rests_to_compare_with() -> None:
    throttle, simulated = machine(always(1))
    simulated.warm_up()
    simulated.run(60)
    assert throttle.share == 1.0
    assert throttle.slice(256) == 256
    assert 0.85 < simulated.run(600) < 0.95
    rests = simulated.clock.slept[-20:]
    assert all(rest == pytest.approx(SETTLE_SECONDS + COMPARE_SECONDS) for rest in rests)
    rested = [later for (_, earlier), (later, _) in itertools.pairwise(simulated.turns) if later > earlier]
    apart = [later - earlier for earlier, later in itertools.pairwise(rested[-20:])]
    assert max(apart) > 1.5 * min(apart)


def test_searches_that_are_slowed_push_it_back_until_95_percent_of_them_are_within_the_limit() -> None:
    throttle, simulated = machine(always(2.5))
    simulated.warm_up()
    embedded = simulated.run(600)
    later = simulated.seen[len(simulated.seen) // 4 :]
    assert percentile(later, 0.95) <= 1.3 * 0.024
    assert 0.02 <= throttle.share < 0.3
    assert embedded > 0.015


def test_it_backs_off_when_load_comes_and_speeds_up_when_it_has_gone() -> None:
    throttle, simulated = machine(lambda now: 3.0 if 100 < now < 200 else 1.0)
    simulated.warm_up()
    simulated.run(90)
    assert throttle.share == 1.0
    simulated.run(15)
    assert throttle.share < 0.3
    simulated.run(200)
    assert throttle.share == 1.0


def test_a_machine_that_has_become_slower_by_itself_does_not_throttle_it_permanently() -> None:
    throttle, simulated = machine(always(1), lambda now: 3.0 if now > 70 else 1.0)
    simulated.warm_up()
    simulated.run(60)
    assert throttle.share == 1.0
    shares = []
    for _ in range(10):
        simulated.run(1)
        shares.append(throttle.share)
    assert min(shares) < 0.8
    simulated.run(60)
    assert throttle.share == 1.0


def test_other_load_before_it_began_does_not_hide_its_effect_permanently() -> None:
    throttle, simulated = machine(lambda now: 2.5 if now > 400 else 1.0, lambda now: 3.0 if now < 30 else 1.0)
    simulated.warm_up()
    simulated.run(420)
    assert throttle.share < 0.3


def test_searches_that_never_pause_and_slow_each_other_are_not_held_against_it() -> None:
    _, simulated = machine(always(1.1), lambda now: 2.0 if int(now / 7) % 4 == 0 else 1.2)
    simulated.warm_up()
    assert simulated.run(600) > 0.5


def test_searches_of_which_many_are_slow_without_it_are_not_held_against_it() -> None:
    _, simulated = machine(always(1), tail=0.04)
    simulated.warm_up()
    assert simulated.run(2400) > 0.6


@pytest.mark.parametrize(("latency", "rate", "size"), [(0.0, 10, 16), (0.0, 1, 2), (0.0, 1000, 256), (0.9, 1e6, 256)])
def test_at_full_speed_one_call_of_the_model_takes_a_second_or_two(latency: float, rate: float, size: int) -> None:
    clock = Clock()
    throttle = Throttle(clock=clock, sleep=clock.sleep)
    throttle.release()
    for _ in range(20):
        texts = throttle.slice(256)
        spent = latency + texts / rate
        throttle.begin()
        clock.now += spent
        throttle.end(texts, spent)
    assert throttle.slice(256) == size
    assert throttle.slice(3) == min(3, size)


def test_before_the_first_slow_measure_it_rises_within_seconds() -> None:
    throttle, simulated = machine(always(1))
    simulated.warm_up()
    assert throttle.share == 0.25
    simulated.run(6)
    assert throttle.share == 1.0


def test_where_nothing_measures_it_does_not_pause_for_a_baseline() -> None:
    clock = Clock()
    throttle = Throttle(clock=clock, sleep=clock.sleep)
    throttle.release()
    for _ in range(200):
        throttle.begin()
        clock.now += 1
        throttle.end(100, 1.0)
    assert clock.slept == []


@given(st.lists(st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)), max_size=30), st.floats(0, 30), st.floats(0.001, 2))
@settings(deadline=None)
def test_only_a_latency_far_enough_from_any_embedding_joins_the_baseline(
    turns: list[tuple[float, float]], began: float, seconds: float
) -> None:
    clock = Clock()
    throttle = Throttle(clock=clock, sleep=lambda seconds: None)
    spans = []
    for rest, spent in turns:
        clock.now += rest
        throttle.begin()
        spans.append((clock.now, clock.now + spent))
        clock.now += spent
        throttle.end(1, spent)
    throttle.record(SEARCH, seconds, began)
    near = any(first < began + seconds and began - SETTLE_SECONDS < last for first, last in spans)
    assert bool(throttle._kinds[SEARCH].baseline) == (not near)


@given(st.lists(st.floats(0, 10, allow_nan=False), max_size=200), st.floats(0.01, 1), st.floats(0.001, 1))
@settings(deadline=None)
def test_whatever_is_measured_the_share_and_the_rests_stay_within_their_bounds(
    values: list[float], ceiling: float, floor: float
) -> None:
    clock = Clock()
    throttle = Throttle(Limits(ceiling=ceiling, floor=floor), clock=clock, sleep=clock.sleep)
    throttle.add_baseline(SEARCH, [0.02] * 10)
    for value in values:
        throttle.record(SEARCH, value)
        assert min(floor, ceiling) <= throttle.share <= ceiling
        texts = throttle.slice(100)
        assert 1 <= texts <= 100
        throttle.begin()
        throttle.end(texts, 0.1)
    assert all(0 <= rest <= LONGEST_REST for rest in clock.slept)


@pytest.mark.parametrize("limits", [{"ceiling": 0}, {"ceiling": 1.1}, {"floor": 0}, {"slowdown": 1.0}])
def test_limits_that_make_no_sense_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"share must be above 0|leaves no room"):
        Limits(**limits)


def test_a_fixed_share_is_kept_where_nothing_is_measured() -> None:
    clock = Clock()
    throttle = Throttle(Limits(0.25, slowdown=None), clock=clock, sleep=clock.sleep)
    throttle.begin()
    throttle.end(8, 0.1)
    assert clock.slept == [pytest.approx(0.3)]
    assert not throttle.measures


def unasked(query: ProbeQuery) -> Timing:
    raise AssertionError("there is no query")


def test_slower_indexing_pushes_it_back_even_while_a_change_still_waits() -> None:
    clock = Clock()
    throttle = Throttle(clock=clock, sleep=clock.sleep)
    found = [Indexing([2.0] * 20), Indexing([2.1]), Indexing([], 3.5), Indexing([9.0])]
    watching = TrafficMonitor(throttle, [], unasked, lambda: found.pop(0), clock=clock)
    watching.warm_up()
    assert throttle.limit(INDEXING) == pytest.approx(3.0)  # a second of slack: changes are looked for now and then
    shares = [throttle.share]
    for _ in range(3):
        watching._record_indexing()
        shares.append(throttle.share)
    assert shares[1] > shares[0]
    assert shares[3] <= shares[2] < shares[1]


def test_where_there_is_no_query_it_does_not_hold_back() -> None:
    throttle = Throttle()
    TrafficMonitor(throttle, [], unasked).warm_up()
    assert throttle.share == 1.0


def test_a_build_measures_its_effect_on_live_searches_and_reports_it(
    platform: Platform, begin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor, "FEWEST_CHUNKS", 1)
    monkeypatch.setattr(monitor, "_LEAST_PAUSE", 0.01)
    monkeypatch.setattr(monitor, "PROBE_SHARE", 1.0)
    platform.search(DEFAULT_TEAM, "demo", "return", 3)
    done = drive(platform, begin(GOOD, batch_chunks=8).id).migration
    live = done.progress["live"]
    assert live["search"]["undisturbed_p95_ms"] > 0
    assert 0 < live["share"] <= 1
    assert done.progress["chunks"] == 120


def test_without_queries_of_users_or_commits_words_of_paths_are_searched(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assets.migrations.gate.queries.judged_queries", lambda *_: [])
    asked = monitor.probe_queries(platform)
    assert len(asked) == monitor.PROBE_QUERIES
    assert all(query.text.startswith("src ") for query in asked)


@pytest.mark.parametrize(
    ("seconds", "worked", "pause"),
    [(0.03, 0.003, 0.3), (0.1, 0.03, 2.0), (0.8, 0.03, 2.0), (4.0, 0.03, 4.0), (40.0, 30.0, 10.0)],
)
def test_timing_searches_takes_a_share_of_a_core_and_of_the_time(seconds: float, worked: float, pause: float) -> None:
    assert monitor._pause(Timing(0.0, seconds, worked)) == pytest.approx(pause)


def test_searches_that_cannot_be_measured_are_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    def broken(query: ProbeQuery) -> Timing:
        raise ProbeFailed("its server is down")

    watching = TrafficMonitor(Throttle(), [ProbeQuery(DEFAULT_TEAM, "demo", "text")], broken)
    watching.warm_up()
    watching._time_search()
    assert caplog.text.count("searches cannot be measured now: its server is down") == 1
