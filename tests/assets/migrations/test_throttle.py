"""The throttle against a simulated machine: a clock of its own, searches that embedding slows down, changing load."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.migrations import watch
from assets.migrations.drive import drive
from assets.migrations.metrics import percentile
from assets.migrations.throttle import LONGEST_REST, Limits, Throttle
from assets.migrations.watch import INDEXING, SEARCH, Indexing, Watch
from assets.platform import Platform
from core.embedding import EmbedderUnavailable
from core.embedding.spec import BuiltIn
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


class Machine:
    """Searches take some 20 ms, and `harm` times as long while something is embedded beside them."""

    def __init__(self, throttle: Throttle, clock: Clock, harm: Callable[[float], float], seed: int = 1) -> None:
        self.throttle = throttle
        self.clock = clock
        self.harm = harm
        self.rng = random.Random(seed)  # noqa: S311
        self.seen: list[float] = []
        self.embedded = 0.0

    def search(self, disturbed: bool) -> float:
        taken = 0.02 * self.rng.uniform(0.8, 1.2)
        return taken * (self.harm(self.clock.now) if disturbed else 1.0)

    def warm_up(self) -> None:
        self.clock.now += 1
        for _ in range(40):
            self.throttle.saw(SEARCH, self.search(False), self.throttle.mark())

    def run(self, seconds: float) -> None:
        """Embeds and rests as the throttle says; a search each 0.2 s or so, disturbed when it meets embedding."""
        until, asked = self.clock.now + seconds, self.clock.now
        while self.clock.now < until:
            texts = self.throttle.slice(256)
            spent = texts / 400
            self.throttle.begin()
            busy_from = self.clock.now
            self.clock.now += spent
            busy_until = self.clock.now
            self.throttle.end(texts, spent)
            self.embedded += spent
            while asked < self.clock.now:
                taken = self.search(busy_from - 0.02 < asked < busy_until)
                self.seen.append(taken)
                self.throttle.saw(SEARCH, taken)
                asked += self.rng.expovariate(5.0)


def machine(harm: Callable[[float], float], limits: Limits | None = None) -> tuple[Throttle, Machine]:
    clock = Clock()
    throttle = Throttle(limits, clock=clock, sleep=clock.sleep)
    return throttle, Machine(throttle, clock, harm)


def test_searches_that_notice_nothing_let_it_embed_all_the_time() -> None:
    throttle, simulated = machine(lambda now: 1.0)
    simulated.warm_up()
    simulated.run(120)
    assert throttle.share == 1.0
    assert throttle.slice(256) == 256


def test_searches_that_are_slowed_push_it_back_until_95_percent_of_them_are_within_the_limit() -> None:
    throttle, simulated = machine(lambda now: 2.5)
    simulated.warm_up()
    simulated.run(600)
    later = simulated.seen[len(simulated.seen) // 4 :]
    assert percentile(later, 0.95) <= 1.3 * 0.024
    assert 0.02 <= throttle.share < 0.3
    assert simulated.embedded > 0.015 * simulated.clock.now


def test_it_backs_off_when_load_comes_and_speeds_up_when_it_has_gone() -> None:
    throttle, simulated = machine(lambda now: 3.0 if 100 < now < 200 else 1.0)
    simulated.warm_up()
    simulated.run(95)
    assert throttle.share == 1.0
    simulated.run(15)
    assert throttle.share < 0.3
    simulated.run(200)
    assert throttle.share == 1.0


def test_a_machine_that_has_become_slower_by_itself_is_no_reason_to_give_way_for_ever() -> None:
    throttle, simulated = machine(lambda now: 1.0)
    simulated.warm_up()
    simulated.run(60)
    slower = simulated.search
    simulated.search = lambda disturbed: 3 * slower(disturbed)  # type: ignore[method-assign]
    simulated.run(20)
    assert throttle.share == pytest.approx(0.02, abs=0.02)
    for _ in range(200):  # what is measured in the rests is as slow
        simulated.clock.now += 1
        throttle.saw(SEARCH, simulated.search(False), throttle.mark())
    simulated.run(120)
    assert throttle.share == 1.0


@given(st.lists(st.floats(0, 10, allow_nan=False), max_size=200), st.floats(0.01, 1), st.floats(0.001, 1))
@settings(deadline=None)
def test_whatever_is_measured_the_share_and_the_rests_stay_within_their_bounds(
    values: list[float], ceiling: float, floor: float
) -> None:
    clock = Clock()
    throttle = Throttle(Limits(ceiling=ceiling, floor=floor), clock=clock, sleep=clock.sleep)
    throttle.undisturbed(SEARCH, [0.02] * 10)
    for value in values:
        throttle.saw(SEARCH, value)
        assert min(floor, ceiling) <= throttle.share <= ceiling
        texts = throttle.slice(100)
        assert 1 <= texts <= 100
        throttle.begin()
        throttle.end(texts, 0.1)
    assert all(0 <= rest <= LONGEST_REST for rest in clock.slept)


@pytest.mark.parametrize("limits", [{"ceiling": 0}, {"ceiling": 1.1}, {"floor": 0}, {"slowdown": 1.0}])
def test_limits_that_make_no_sense_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"share lies above 0|leaves no room"):
        Limits(**limits)


def test_a_share_of_its_own_is_kept_where_nothing_is_watched() -> None:
    clock = Clock()
    throttle = Throttle(Limits(0.25, slowdown=None), clock=clock, sleep=clock.sleep)
    throttle.begin()
    throttle.end(8, 0.1)
    assert clock.slept == [pytest.approx(0.3)]
    assert not throttle.watches


def test_indexing_that_takes_longer_than_before_pushes_it_back_while_a_change_still_waits() -> None:
    clock = Clock()
    throttle = Throttle(clock=clock, sleep=clock.sleep)
    found = [Indexing([2.0] * 20), Indexing([2.1]), Indexing([], 3.5), Indexing([9.0])]
    watching = Watch(throttle, [], lambda: lambda: found.pop(0), clock=clock)
    watching.warm_up()
    assert throttle.limit(INDEXING) == pytest.approx(3.0)  # a second of slack: changes are looked for now and then
    shares = [throttle.share]
    for _ in range(3):
        watching._see_indexing()
        shares.append(throttle.share)
    assert shares[1] > shares[0]
    assert shares[3] <= shares[2] < shares[1]


def test_where_there_is_nothing_to_ask_it_does_not_hold_back() -> None:
    throttle = Throttle()
    Watch(throttle, [], None).warm_up()
    assert throttle.share == 1.0


def test_a_build_measures_live_searches_and_tells_what_they_noticed(
    platform: Platform, begin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "FEWEST_CHUNKS", 1)
    monkeypatch.setattr(watch, "_LEAST_PAUSE", 0.01)
    monkeypatch.setattr(watch, "PROBE_SHARE", 1.0)
    platform.search(DEFAULT_TEAM, "demo", "return", 3)
    done = drive(platform, begin(GOOD, batch_chunks=8).id).migration
    live = done.progress["live"]
    assert live["search"]["undisturbed_p95_ms"] > 0
    assert 0 < live["share"] <= 1
    assert done.progress["chunks"] == 120


def test_without_queries_of_people_or_commits_words_of_paths_are_asked(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assets.migrations.queries.judged_queries", lambda *_: [])
    asked: list[str] = []
    monkeypatch.setattr(platform, "search", lambda team, source, text, count: asked.append(text))
    for probe in watch.search_probes(platform):
        probe()
    assert len(asked) == watch.PROBE_QUERIES
    assert all(text.startswith("src ") for text in asked)


def test_searches_that_cannot_be_asked_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> None:
        raise EmbedderUnavailable("its server is down")

    watching = Watch(Throttle(), [broken])
    watching.warm_up()
    watching._ask()
    assert caplog.text.count("searches cannot be measured now: its server is down") == 1
