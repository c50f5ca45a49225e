"""Levels of articles with a journal of every change."""

from dataclasses import dataclass, field
from typing import Callable


class Shortage(Exception):
    def __init__(self, sku: str, missing: int):
        super().__init__(f"{missing} of {sku} missing")
        self.sku, self.missing = sku, missing


@dataclass
class Stock:
    """Articles by their number. Listeners are told the article and its new level after every change."""

    _levels: dict[str, int] = field(default_factory=dict)
    _reserved: dict[str, int] = field(default_factory=dict)
    journal: list[tuple[str, int]] = field(default_factory=list)
    listeners: list[Callable[[str, int], None]] = field(default_factory=list)

    def level(self, sku: str) -> int:
        return self._levels.get(sku, 0)

    def levels(self) -> dict[str, int]:
        """A copy of all levels; articles of which there are none are left out."""
        return dict(self._levels)

    def available(self, sku: str) -> int:
        """How many are there and not reserved."""
        return self.level(sku) - self._reserved.get(sku, 0)

    def receive(self, sku: str, count: int) -> None:
        if count < 1:
            raise ValueError("count must be at least 1")
        self._change(sku, count)

    def ship(self, sku: str, count: int) -> None:
        if count > self.available(sku):
            raise Shortage(sku, count - self.available(sku))
        self._change(sku, -count)

    def reserve(self, sku: str, count: int) -> None:
        if count > self.available(sku):
            raise Shortage(sku, count - self.available(sku))
        self._reserved[sku] = self._reserved.get(sku, 0) + count

    def release(self, sku: str) -> int:
        """Gives up what is reserved of an article, and says how many that were."""
        return self._reserved.pop(sku, 0)

    def undo(self) -> None:
        """Takes back the last change; this is not a change of its own in the journal."""
        sku, delta = self.journal.pop()
        self._set(sku, self.level(sku) - delta)

    def _change(self, sku: str, delta: int) -> None:
        self._set(sku, self.level(sku) + delta)
        self.journal.append((sku, delta))

    def _set(self, sku: str, level: int) -> None:
        if level:
            self._levels[sku] = level
        else:
            self._levels.pop(sku, None)
        for listener in self.listeners:
            listener(sku, level)


def low(stock: Stock, least: dict[str, int]) -> list[str]:
    """Articles of which fewer are available than the least number, most wanting first."""
    wanting = {sku: number - stock.available(sku) for sku, number in least.items()}
    return sorted((sku for sku, gap in wanting.items() if gap > 0), key=lambda sku: (-wanting[sku], sku))
