"""The packing rule: never over-committed, as good as every other way, and what does not fit is explained."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.serving import packing
from core.serving.packing import Card, Plan, ServedModel, kv_bytes_per_token, pack

GIB = 1 << 30
MIB = 1 << 20


def model(name: str, need: int, priority: int = 1) -> ServedModel:
    return ServedModel(name, weights=need, kv_per_token=0, context=1, compute=0, priority=priority)


def score(
    models: Sequence[ServedModel], cards: Sequence[Card], at: Sequence[int | None]
) -> tuple[int, int, int] | None:
    """The rule's order; None if a card is over-committed. `at` gives each model's card."""
    load = [sum(m.need for m, i in zip(models, at, strict=True) if i == number) for number in range(len(cards))]
    if any(taken > card.usable for taken, card in zip(load, cards, strict=True)):
        return None
    there = [m for m, i in zip(models, at, strict=True) if i is not None]
    return sum(m.priority for m in there), sum(m.need for m in there), -sum(1 for taken in load if taken)


def by_brute_force(models: Sequence[ServedModel], cards: Sequence[Card]) -> tuple[int, int, int]:
    choices = [None, *range(len(cards))]
    found = (score(models, cards, at) for at in itertools.product(choices, repeat=len(models)))
    return max(one for one in found if one is not None)


def of_plan(models: Sequence[ServedModel], cards: Sequence[Card], plan: Plan) -> tuple[int, int, int] | None:
    where = {name: i for i, card in enumerate(cards) for name in plan.cards[card.name]}
    return score(models, cards, [where.get(m.name) for m in models])


needs = st.integers(min_value=1, max_value=30)
sizes = st.integers(min_value=0, max_value=40)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(needs, st.integers(1, 3)), max_size=8), st.lists(sizes, min_size=0, max_size=3))
def test_it_is_as_good_as_trying_every_way(found: list[tuple[int, int]], memory: list[int]) -> None:
    models = [model(f"m{n}", need, priority) for n, (need, priority) in enumerate(found)]
    cards = [Card(f"c{n}", usable + 1, headroom=1) for n, usable in enumerate(memory)]
    plan = pack(models, cards)
    assert plan.exact
    assert of_plan(models, cards, plan) == by_brute_force(models, cards)
    named = [*(name for names in plan.cards.values() for name in names), *(one.model for one in plan.unplaced)]
    assert sorted(named) == sorted(m.name for m in models)


@settings(max_examples=30, deadline=None)
@given(st.lists(needs, min_size=packing.EXACT_MODELS + 1, max_size=40), st.lists(sizes, min_size=1, max_size=6))
def test_many_models_are_never_over_committed(found: list[int], memory: list[int]) -> None:
    models = [model(f"m{n}", need) for n, need in enumerate(found)]
    cards = [Card(f"c{n}", usable, headroom=0) for n, usable in enumerate(memory)]
    assert of_plan(models, cards, pack(models, cards)) is not None


def test_the_search_is_bounded_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "MOST_STEPS", 50)
    models = [model(f"m{n}", 7 + n) for n in range(12)]
    cards = [Card(f"c{n}", 31, headroom=0) for n in range(4)]
    plan = pack(models, cards)
    assert not plan.exact
    assert of_plan(models, cards, plan) is not None
    assert any(plan.cards.values())


def test_the_need_is_weights_and_cache_and_computing() -> None:
    # Llama 3.1 8B: 32 layers, 8 KV heads of 128, f16: 128 KiB for each token.
    per_token = kv_bytes_per_token(32, 8, 128)
    assert per_token == 128 << 10
    one = ServedModel("llama", weights=4 * GIB, kv_per_token=per_token, context=8192, parallel=4, compute=512 * MIB)
    assert one.cache == 4 * GIB
    assert one.need == 8 * GIB + 512 * MIB


def test_a_quantised_cache_is_rounded_up() -> None:
    assert kv_bytes_per_token(1, 1, 1, 1.0625) == 3


def test_the_headroom_stays_free() -> None:
    assert pack([model("m", 24 * GIB)], [Card("c", 24 * GIB)]).cards == {"c": ()}
    assert pack([model("m", 23 * GIB)], [Card("c", 24 * GIB)]).cards == {"c": ("m",)}


def test_a_card_is_filled_before_another_is_used() -> None:
    cards = [Card("a", 11 * GIB), Card("b", 11 * GIB)]
    plan = pack([model("x", 4 * GIB), model("y", 6 * GIB)], cards)
    assert sorted(map(len, plan.cards.values())) == [0, 2]


def test_the_important_model_is_placed_before_two_others() -> None:
    models = [model("large", 9 * GIB, priority=3), model("s1", 5 * GIB), model("s2", 5 * GIB)]
    plan = pack(models, [Card("c", 11 * GIB)])
    assert plan.cards == {"c": ("large",)}
    assert [one.model for one in plan.unplaced] == ["s1", "s2"]


def why(one: ServedModel, *cards: Card, others: Sequence[ServedModel] = ()) -> str:
    (found,) = [unplaced.why for unplaced in pack([*others, one], cards).unplaced if unplaced.model == one.name]
    return found


def test_what_is_too_large_is_told_what_would_fit() -> None:
    one = ServedModel("llama", weights=4 * GIB, kv_per_token=128 << 10, context=8192, parallel=8, compute=0)
    said = why(one, Card("c", 11 * GIB))
    assert "it needs 12.0 GiB (4.0 GiB weights, 8.0 GiB cache, 0 MiB computing)" in said
    assert "the largest card offers 10.0 GiB" in said
    assert "6 at once instead of 8 or a context of 6144 instead of 8192 tokens" in said
    for smaller in ({"parallel": 6}, {"context": 6144}):
        fits = replace(one, **smaller)
        assert pack([fits], [Card("c", 11 * GIB)]).cards == {"c": ("llama",)}


def test_weights_that_are_too_large_alone_are_told_so() -> None:
    one = ServedModel("m", weights=40 * GIB, kv_per_token=1, context=1024, compute=0)
    assert "use a smaller quantisation, or a larger card" in why(one, Card("c", 24 * GIB))


def test_what_fits_an_empty_card_is_told_what_is_free() -> None:
    said = why(model("late", 6 * GIB), Card("c", 11 * GIB), others=[model("first", 9 * GIB)])
    assert "it fits a card, but the others leave at most 1.0 GiB on one: add a card" in said


def test_without_a_card_nothing_fits() -> None:
    assert why(model("m", 1)) == "there is no card with memory to use"
    assert why(model("m", 1), Card("c", GIB, headroom=2 * GIB)) == "there is no card with memory to use"


@pytest.mark.parametrize("wrong", [{"weights": 0}, {"context": 0}, {"parallel": 0}, {"kv_per_token": -1}])
def test_impossible_models_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="model 'm'"):
        ServedModel(**{"name": "m", "weights": 1, "kv_per_token": 1, "context": 1, **wrong})  # type: ignore[arg-type]


def test_names_are_unique() -> None:
    with pytest.raises(ValueError, match="the model 'm' occurs twice"):
        pack([model("m", 1), model("m", 1)], [])
    with pytest.raises(ValueError, match="the card 'c' occurs twice"):
        pack([], [Card("c", 1), Card("c", 1)])
