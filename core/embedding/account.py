"""The cost of using a model in this process: requests, texts, tokens, seconds and money."""

import threading
from dataclasses import astuple, dataclass, replace


@dataclass(frozen=True, slots=True)
class Cost:
    """Totals. `seconds` is the time spent waiting, summed over all requests; `retries` counts retried requests."""

    requests: int = 0
    retries: int = 0
    texts: int = 0
    tokens: int = 0
    seconds: float = 0.0
    money: float = 0.0

    def __sub__(self, other: "Cost") -> "Cost":
        return Cost(*(mine - theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))


def cost_of(embedder: object) -> Cost:
    """The cost of a model on a server in this process; zero for a local model."""
    cost = getattr(getattr(embedder, "inner", embedder), "cost", None)
    return cost if isinstance(cost, Cost) else Cost()


class Account:
    """Sums costs from many threads. `price` is money per million tokens."""

    def __init__(self, price: float = 0.0) -> None:
        self._price = price
        self._cost = Cost()
        self._lock = threading.Lock()

    @property
    def cost(self) -> Cost:
        return self._cost

    def answered(self, texts: int, tokens: int, seconds: float) -> None:
        with self._lock:
            now = self._cost
            self._cost = replace(
                now,
                requests=now.requests + 1,
                texts=now.texts + texts,
                tokens=now.tokens + tokens,
                seconds=now.seconds + seconds,
                money=now.money + tokens * self._price / 1e6,
            )

    def failed(self, seconds: float, *, again: bool) -> None:
        with self._lock:
            now = self._cost
            self._cost = replace(
                now, requests=now.requests + 1, retries=now.retries + again, seconds=now.seconds + seconds
            )
