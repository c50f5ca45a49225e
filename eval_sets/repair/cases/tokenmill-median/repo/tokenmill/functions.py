"""The functions that a formula can call."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any


def _round(value: float, places: float = 0) -> float:
    """Half away from zero, as spreadsheets do it."""
    factor = 10 ** int(places)
    scaled = abs(value) * factor
    return math.copysign(math.floor(scaled + 0.5) / factor, value)


def _average(*values: float) -> float:
    if not values:
        raise ValueError("average of nothing")
    return sum(values) / len(values)


def _median(*values: float) -> float:
    if not values:
        raise ValueError("median of nothing")
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) // 2


def _mid(text: str, start: float, length: float) -> str:
    """Characters from the middle of a text; the first one has number 1."""
    first = int(start) - 1
    if first < 0:
        raise ValueError("mid starts at 1")
    return text[first : first + int(length)]


def _left(text: str, length: float = 1) -> str:
    return text[: int(length)]


def _right(text: str, length: float = 1) -> str:
    return text[len(text) - min(int(length), len(text)) :]


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "average": _average,
    "left": _left,
    "len": lambda text: float(len(text)),
    "max": max,
    "median": _median,
    "mid": _mid,
    "min": min,
    "right": _right,
    "round": _round,
    "sqrt": math.sqrt,
    "sum": lambda *values: float(sum(values)),
    "upper": str.upper,
}
