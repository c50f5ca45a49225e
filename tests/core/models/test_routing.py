"""The choice of a replica, as properties of a pure function."""

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from core.models.routing import Away, Busy, Exhausted, NoVersion, Replica, Send, Wish, affinity, choose, load

VERSIONS = ("1", "2", "3")


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[Replica], dict[str, float], frozenset[str], Wish]:
    names = draw(st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=6))
    replicas = [
        Replica(
            name,
            draw(st.sampled_from(VERSIONS)),
            draw(st.sampled_from([0.5, 1.0, 4.0])),
            draw(st.integers(1, 3)),
            draw(st.integers(0, 4)),
            draw(st.booleans()),
            draw(st.booleans()),
            draw(st.sampled_from([None, True, False])),
            draw(st.floats(0, 1)),
        )
        for name in names
    ]
    shares = {one.version: draw(st.sampled_from([0.0, 1.0, 9.0])) for one in replicas}
    some = st.frozensets(st.sampled_from("abcdefgh"), max_size=3)
    wish = Wish(
        draw(st.none() | st.text(max_size=5)),
        draw(st.none() | st.sampled_from(VERSIONS)),
        draw(st.booleans()),
        draw(some),
        draw(some),
        draw(st.floats(0, 1, exclude_max=True)),
    )
    return replicas, shares, draw(st.frozensets(st.sampled_from(VERSIONS), max_size=2)), wish


@given(situations())
def test_only_a_free_replica_of_an_allowed_version_is_chosen(situation: Any) -> None:
    replicas, shares, draining, wish = situation
    decision = choose(replicas, shares, draining, wish)
    if isinstance(decision, Send):
        chosen = next(one for one in replicas if one.name == decision.replica)
        assert chosen.usable and chosen.in_flight < chosen.concurrency
        assert not (chosen.trial and chosen.in_flight)
        assert chosen.name not in wish.excluded
        assert chosen.version not in draining
        if wish.version is None:
            assert shares[chosen.version] > 0
        else:
            assert chosen.version == wish.version


@given(situations())
def test_what_is_free_and_allowed_is_never_left_waiting_for_a_version_that_is_away(situation: Any) -> None:
    replicas, shares, draining, wish = situation
    decision = choose(replicas, shares, draining, wish)
    if wish.version is not None:
        allowed = {wish.version} - draining
    else:
        allowed = {version for version, share in shares.items() if share > 0} - draining
        if wish.one_version and allowed:
            allowed = {min(allowed, key=lambda version: (-shares[version], version))}
    able = [one for one in replicas if one.version in allowed and one.usable and one.name not in wish.excluded]
    fresh = [one for one in able if one.name not in wish.avoided] or able
    if isinstance(decision, Away | Exhausted | NoVersion):
        assert not able
    elif isinstance(decision, Busy):
        assert any(not one.free for one in able)
    if fresh and all(one.free for one in able):
        assert isinstance(decision, Send)


@given(situations())
def test_the_same_situation_has_the_same_answer_in_any_order(situation: Any) -> None:
    replicas, shares, draining, wish = situation
    assert choose(replicas, shares, draining, wish) == choose(replicas[::-1], shares, draining, wish)


@given(st.integers(2, 8), st.integers(0, 7), st.lists(st.text(min_size=1, max_size=8), max_size=20))
def test_a_replica_that_goes_takes_only_its_own_tasks_along(number: int, gone: int, tasks: list[str]) -> None:
    replicas = [Replica(f"r{n}", "1", concurrency=9) for n in range(number)]
    left = [one for one in replicas if one.name != f"r{gone % number}"]
    for task in tasks:
        before = choose(replicas, {"1": 1}, (), Wish(task))
        after = choose(left, {"1": 1}, (), Wish(task))
        if isinstance(before, Send) and before.replica != f"r{gone % number}":
            assert after == before


def test_tasks_are_spread_by_weight() -> None:
    replicas = [Replica("a", "1", weight=1, concurrency=9), Replica("b", "1", weight=3, concurrency=9)]
    found = Counter(choose(replicas, {"1": 1}, (), Wish(f"task {n}")) for n in range(4000))
    assert 0.71 < found[Send("b")] / 4000 < 0.79
    assert affinity("x", replicas[0]) > 0


def test_versions_share_tasks_and_single_requests_as_the_configuration_says() -> None:
    replicas = [Replica("a", "1", concurrency=9), Replica("b", "2", concurrency=9)]
    shares = {"1": 95.0, "2": 5.0}
    tasks = Counter(choose(replicas, shares, (), Wish(f"task {n}")) for n in range(4000))
    single = Counter(choose(replicas, shares, (), Wish(draw=n / 4000)) for n in range(4000))
    assert 0.035 < tasks[Send("b")] / 4000 < 0.065
    assert single[Send("b")] == 200


def test_embeddings_are_never_split_between_versions() -> None:
    replicas = [Replica("a", "1"), Replica("b", "2")]
    shares = {"1": 51.0, "2": 49.0}
    wishes = [Wish(f"task {n}", one_version=True, draw=n / 100) for n in range(100)]
    assert {choose(replicas, shares, (), wish) for wish in wishes} == {Send("a")}
    away = [Replica("a", "1", usable=False), Replica("b", "2")]
    assert choose(away, shares, (), Wish(one_version=True)) == Away()


def test_a_busy_canary_does_not_pass_its_share_on_but_a_dead_one_does() -> None:
    shares = {"1": 1.0, "2": 1.0}
    wish = Wish(draw=0.9)  # falls to version 2
    assert choose([Replica("a", "1"), Replica("b", "2", in_flight=1)], shares, (), wish) == Busy()
    assert choose([Replica("a", "1"), Replica("b", "2", usable=False)], shares, (), wish) == Send("a")


def test_the_least_busy_replica_answers_and_failures_count_as_load() -> None:
    busy, failing = Replica("a", "1", concurrency=9, in_flight=2), Replica("b", "1", concurrency=9, failure_rate=0.6)
    assert load(failing) > load(busy)
    assert choose([busy, failing], {"1": 1}, (), Wish()) == Send("a")
    assert choose([busy, Replica("b", "1", concurrency=9)], {"1": 1}, (), Wish()) == Send("b")


def test_a_loaded_model_is_preferred_until_its_server_is_full() -> None:
    cold = Replica("a", "1", concurrency=4, loaded=False)
    warm = Replica("b", "1", concurrency=4, in_flight=3, loaded=True)
    for wish in (Wish(), Wish("task")):
        assert choose([cold, warm], {"1": 1}, (), wish) == Send("b")
        full = Replica("b", "1", concurrency=4, in_flight=4, loaded=True)
        assert choose([cold, full], {"1": 1}, (), wish) == Send("a")


def test_a_trial_is_one_first_try() -> None:
    ready, good = Replica("a", "1", trial=True), Replica("b", "1")
    assert choose([ready, good], {"1": 1}, (), Wish()) == Send("a")
    assert choose([ready, good], {"1": 1}, (), Wish(excluded=frozenset("c"))) == Send("b")
    tried = Replica("a", "1", concurrency=9, in_flight=1, trial=True)
    assert choose([tried, good], {"1": 1}, (), Wish()) == Send("b")


def test_a_replica_that_could_not_be_reached_is_asked_again_only_if_there_is_no_other() -> None:
    both = [Replica("a", "1"), Replica("b", "1")]
    assert choose(both, {"1": 1}, (), Wish(avoided=frozenset("a"))) == Send("b")
    assert choose(both[:1], {"1": 1}, (), Wish(avoided=frozenset("a"))) == Send("a")
    assert choose(both[:1], {"1": 1}, (), Wish(excluded=frozenset("a"))) == Exhausted()
