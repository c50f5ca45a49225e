"""Tables that give something for a range of numbers: weights, values, counts.

A rate card has two kinds. Limits are printed as "up to 2 kg"; thresholds are
printed as "from 50 parcels". Both are kept sorted, and both are looked up here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Step(Generic[T]):
    """One row: the number it is printed with, and what it gives."""

    bound: int
    gives: T


class Limits(Generic[T]):
    """Rows printed as "up to": the first row that a number does not exceed."""

    def __init__(self, rows: Iterable[tuple[int, T]]) -> None:
        self._steps = _sorted_steps(rows)

    def __iter__(self) -> Iterator[Step[T]]:
        return iter(self._steps)

    def __len__(self) -> int:
        return len(self._steps)

    @property
    def highest(self) -> int:
        """The last limit; nothing above it is served."""
        return self._steps[-1].bound

    def find(self, number: int) -> T | None:
        """What the table gives for `number`; None above the last limit."""
        for step in self._steps:
            if number < step.bound:
                return step.gives
        return None


class Thresholds(Generic[T]):
    """Rows printed as "from": the last row that a number reaches."""

    def __init__(self, rows: Iterable[tuple[int, T]]) -> None:
        self._steps = _sorted_steps(rows)

    def find(self, number: int) -> T | None:
        """What the table gives for `number`; None below the first threshold."""
        found = None
        for step in self._steps:
            if number >= step.bound:
                found = step.gives
        return found


def _sorted_steps(rows: Iterable[tuple[int, T]]) -> tuple[Step[T], ...]:
    steps = tuple(sorted((Step(bound, gives) for bound, gives in rows), key=lambda step: step.bound))
    if not steps:
        raise ValueError("a table needs at least one row")
    for before, after in zip(steps, steps[1:]):
        if before.bound == after.bound:
            raise ValueError(f"two rows for {after.bound}")
    return steps
