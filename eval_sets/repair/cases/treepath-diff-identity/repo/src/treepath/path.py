"""Paths: `orders[0].lines[*].price`, `**.id`, `"odd key".x`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Union


class PathError(ValueError):
    """A path that cannot be read; `position` is where, from 0."""

    def __init__(self, text: str, position: int, problem: str) -> None:
        super().__init__(f"{problem} at {position} in {text!r}")
        self.position = position


@dataclass(frozen=True)
class Key:
    name: str


@dataclass(frozen=True)
class Index:
    number: int


@dataclass(frozen=True)
class Every:
    """All items of a list or all values of a dict."""


@dataclass(frozen=True)
class Deep:
    """This level and every level below."""


@dataclass(frozen=True)
class Where:
    """The items of a list, or values of a dict, in which `name` has a value that is written like `value`."""

    name: str
    value: str


Step = Union[Key, Index, Every, Deep, Where]

_TOKEN = re.compile(
    r"""
    (?P<deep>\*\*) | (?P<star>\*) | (?P<index>\[-?\d+\]) | (?P<every>\[\*\])
    | (?P<where>\[\?[A-Za-z_][\w-]*=[^\]]*\])
    | "(?P<quoted>[^"]*)" | (?P<name>[A-Za-z_][\w-]*) | (?P<dot>\.)
    """,
    re.VERBOSE,
)


def parse(text: str) -> tuple[Step, ...]:
    """Reads a path. The empty path stands for the document itself. Raises `PathError`."""
    steps: list[Step] = []
    position = 0
    after_dot = True
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise PathError(text, position, f"unexpected {text[position]!r}")
        kind = match.lastgroup
        if kind == "dot":
            if after_dot:
                raise PathError(text, position, "nothing before the dot")
            after_dot = True
        elif kind == "where":
            name, _, value = match.group()[2:-1].partition("=")
            steps.append(Where(name, value))
            after_dot = False
        elif kind in ("index", "every"):
            steps.append(Every() if kind == "every" else Index(int(match.group()[1:-1])))
            after_dot = False
        else:
            if not after_dot:
                raise PathError(text, position, "a dot is missing")
            steps.append(_step(kind, match))
            after_dot = False
        position = match.end()
    if steps and after_dot:
        raise PathError(text, len(text), "nothing after the dot")
    return tuple(steps)


def _step(kind: str | None, match: re.Match[str]) -> Step:
    if kind == "deep":
        return Deep()
    if kind == "star":
        return Every()
    return Key(match.group(kind or "name"))


def show(parts: tuple[str | int, ...]) -> str:
    """The text of a concrete location, as `find` returns them."""
    text = ""
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if re.fullmatch(r"[A-Za-z_][\w-]*", part) else f'"{part}"'
            text += f".{name}" if text else name
    return text
