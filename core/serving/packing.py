"""Which models share a card, so that its memory is filled and never over-committed.

The rule: a model needs its weights, the key-value cache of all requests that it serves at the same time, and room for
computing:

    need = weights + 2 x layers x KV heads x head size x bytes of an element x context x parallel + compute

A card offers its memory without its headroom, which drivers and fragmentation take. Of all ways to place the models,
one is chosen that has, in this order: the greatest sum of priorities, the most bytes in use, and the fewest cards. Up
to `EXACT_MODELS` models the search is exhaustive; beyond that, or after `MOST_STEPS` steps, the best that was found is
returned and says so. What finds no place is explained.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

EXACT_MODELS = 16
MOST_STEPS = 300_000
LEAST_CONTEXT = 256
COMPUTE_BYTES = 512 << 20
"""Of a process on a card: the driver's context and buffers of the computation."""


@dataclass(frozen=True)
class ServedModel:
    """A model as it is to be served. Sizes are in bytes, `context` in tokens; `parallel` requests run at once."""

    name: str
    weights: int
    kv_per_token: int
    context: int
    parallel: int = 1
    compute: int = COMPUTE_BYTES
    priority: int = 1

    def __post_init__(self) -> None:
        if (
            min(self.weights, self.context, self.parallel, self.priority) < 1
            or min(self.kv_per_token, self.compute) < 0
        ):
            raise ValueError(
                f"model {self.name!r}: weights, context, parallel and priority are at least 1, sizes not below 0"
            )

    @property
    def cache(self) -> int:
        """Bytes of the key-value cache."""
        return self.kv_per_token * self.context * self.parallel

    @property
    def need(self) -> int:
        return self.weights + self.cache + self.compute


def kv_bytes_per_token(layers: int, kv_heads: int, head_size: int, element_bytes: float = 2.0) -> int:
    """Keys and values of one token in all layers; `element_bytes` is 2 for f16, about 1.06 for q8_0."""
    return -int(-(2 * layers * kv_heads * head_size * element_bytes) // 1)


@dataclass(frozen=True)
class Card:
    """`memory` and `headroom` in bytes."""

    name: str
    memory: int
    headroom: int = 1 << 30

    @property
    def usable(self) -> int:
        return max(0, self.memory - self.headroom)


@dataclass(frozen=True)
class Unplaced:
    model: str
    why: str


@dataclass(frozen=True)
class Plan:
    """`cards`: names of models by card, in the order of the cards. `exact`: no better plan exists."""

    cards: dict[str, tuple[str, ...]]
    unplaced: tuple[Unplaced, ...]
    exact: bool


@dataclass
class _Search:
    models: Sequence[ServedModel]
    """Largest first."""
    cards: Sequence[Card]
    free: list[int]
    used: list[int]
    """How many models each card has."""
    at: list[int | None]
    """Of each model, its card."""
    best: tuple[int, int, int] = (-1, 0, 0)
    best_at: list[int | None] = field(default_factory=list)
    steps: int = 0

    def run(self, number: int, priority: int, placed: int) -> None:
        self.steps += 1
        if self.steps > MOST_STEPS:
            return
        rest = self.models[number:]
        if (priority + sum(m.priority for m in rest), placed + sum(m.need for m in rest)) < self.best[:2]:
            return
        if not rest:
            score = (priority, placed, -sum(1 for count in self.used if count))
            if score > self.best:
                self.best, self.best_at = score, list(self.at)
            return
        model, tried = rest[0], set()
        # Best fit first: it often is the best plan, and the bound then cuts the rest.
        for card in sorted(range(len(self.cards)), key=lambda one: (self.free[one], one)):
            alike = (self.free[card], self.used[card] > 0)
            if self.free[card] < model.need or alike in tried:
                continue
            tried.add(alike)
            self.free[card] -= model.need
            self.used[card] += 1
            self.at[number] = card
            self.run(number + 1, priority + model.priority, placed + model.need)
            self.at[number] = None
            self.used[card] -= 1
            self.free[card] += model.need
        self.run(number + 1, priority, placed)


def pack(models: Sequence[ServedModel], cards: Sequence[Card]) -> Plan:
    """Raises `ValueError` if a name occurs twice."""
    for what, names in (("model", [m.name for m in models]), ("card", [c.name for c in cards])):
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"the {what} {sorted(twice)[0]!r} occurs twice: names are unique")
    largest = max((card.usable for card in cards), default=0)
    able = sorted((m for m in models if m.need <= largest), key=lambda m: (-m.need, m.name))
    if len(able) <= EXACT_MODELS:
        search = _Search(able, cards, [c.usable for c in cards], [0] * len(cards), [None] * len(able))
        search.run(0, 0, 0)
        exact = search.steps <= MOST_STEPS
        at = search.best_at
    else:
        exact, at = False, _best_fit(able, cards)
    placed = {card.name: [m.name for m, n in zip(able, at, strict=True) if n == i] for i, card in enumerate(cards)}
    there = {name for names in placed.values() for name in names}
    free = [card.usable - sum(m.need for m, n in zip(able, at, strict=True) if n == i) for i, card in enumerate(cards)]
    unplaced = tuple(Unplaced(m.name, _why(m, largest, max(free, default=0))) for m in models if m.name not in there)
    return Plan({name: tuple(names) for name, names in placed.items()}, unplaced, exact)


def _best_fit(models: Sequence[ServedModel], cards: Sequence[Card]) -> list[int | None]:
    """Most important first, then largest, each to the card that it fills best."""
    free, at = [card.usable for card in cards], [None] * len(models)
    found: list[int | None] = list(at)
    for number in sorted(range(len(models)), key=lambda n: (-models[n].priority, n)):
        fitting = [i for i in range(len(cards)) if free[i] >= models[number].need]
        if fitting:
            found[number] = min(fitting, key=lambda i: (free[i], i))
            free[found[number] or 0] -= models[number].need
    return found


def _why(model: ServedModel, largest: int, free: int) -> str:
    if largest == 0:
        return "there is no card with memory to use"
    sizes = f"{size(model.weights)} weights, {size(model.cache)} cache, {size(model.compute)} computing"
    parts = f"{size(model.need)} ({sizes})"
    if model.need <= largest:
        return f"it needs {parts}; it fits a card, but the others leave at most {size(free)} on one: add a card"
    hints = []
    fixed = model.weights + model.compute
    if model.kv_per_token:
        tokens = (largest - fixed) // model.kv_per_token
        if 0 < (requests := tokens // model.context) < model.parallel:
            hints.append(f"{requests} at once instead of {model.parallel}")
        if LEAST_CONTEXT <= (context := tokens // model.parallel) < model.context:
            hints.append(f"a context of {context} instead of {model.context} tokens")
    advice = " or ".join(hints)
    advice = f"it would fit with {advice}" if advice else "use a smaller quantisation, or a larger card"
    return f"it needs {parts}, and the largest card offers {size(largest)}: {advice}"


def size(count: int) -> str:
    """Bytes for people."""
    return f"{count / (1 << 30):.1f} GiB" if count >= 1 << 30 else f"{count / (1 << 20):.0f} MiB"
