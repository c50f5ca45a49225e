"""What the use of a model has cost in this process: requests, texts, tokens, seconds and money."""

import threading
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Cost:
    """Totals. `seconds` is time spent waiting, over all requests; `retries` counts those that were repeated."""

    requests: int = 0
    retries: int = 0
    texts: int = 0
    tokens: int = 0
    seconds: float = 0.0
    money: float = 0.0

    def __sub__(self, other: "Cost") -> "Cost":
        return Cost(
            self.requests - other.requests,
            self.retries - other.retries,
            self.texts - other.texts,
            self.tokens - other.tokens,
            self.seconds - other.seconds,
            self.money - other.money,
        )


def cost_of(embedder: object) -> Cost:
    """What a model behind a server has cost in this process; nothing for a local one."""
    cost = getattr(getattr(embedder, "inner", embedder), "cost", None)
    return cost if isinstance(cost, Cost) else Cost()


class Account:
    """Adds up costs from many threads. `price` is money per million tokens."""

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
