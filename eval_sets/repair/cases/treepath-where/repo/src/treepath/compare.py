"""What is different between two documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from treepath.path import show

ABSENT = "<absent>"


@dataclass(frozen=True)
class Change:
    path: str
    before: Any
    after: Any


def diff(before: Any, after: Any) -> list[Change]:
    """Changes in the order of the first document, then what is new in the second."""
    changes: list[Change] = []
    _diff(before, after, (), changes)
    return changes


def _diff(before: Any, after: Any, where: tuple[Any, ...], changes: list[Change]) -> None:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in [*before, *(name for name in after if name not in before)]:
            _diff(before.get(name, ABSENT), after.get(name, ABSENT), (*where, name), changes)
    elif isinstance(before, list) and isinstance(after, list):
        for number in range(max(len(before), len(after))):
            old = before[number] if number < len(before) else ABSENT
            new = after[number] if number < len(after) else ABSENT
            _diff(old, new, (*where, number), changes)
    elif type(before) is not type(after) or before != after:
        changes.append(Change(show(where), before, after))
