"""Reading: one value, all matching values, or everything there is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from treepath.path import Deep, Every, Index, Key, Step, Where, parse, show

_MISSING = object()

Location = tuple[Any, ...]


def children(node: Any) -> Iterator[tuple[str | int, Any]]:
    """The direct children of a node; none for a plain value."""
    if isinstance(node, dict):
        yield from node.items()
    elif isinstance(node, list):
        yield from enumerate(node)


def walk(node: Any, max_depth: int | None = None) -> Iterator[tuple[str, Any]]:
    """Every location with its value, parents before children.

    The document itself has depth 0 and is not listed; `max_depth=1` lists its direct children.
    """
    yield from ((show(where), value) for where, value in _walk(node, (), max_depth))


def _walk(node: Any, where: Location, levels: int | None) -> Iterator[tuple[Location, Any]]:
    if levels is not None and levels <= 0:
        return
    remaining = None if levels is None else levels - 1
    for name, child in children(node):
        here = (*where, name)
        yield here, child
        yield from _walk(child, here, levels)


def find(document: Any, path: str) -> list[tuple[str, Any]]:
    """All (location, value) pairs that match a path, in document order, each once."""
    found: dict[Location, Any] = {}
    for where, value in _match(document, parse(path), ()):
        found.setdefault(where, value)
    return [(show(where), value) for where, value in found.items()]


def get(document: Any, path: str, default: Any = _MISSING) -> Any:
    """The first value that matches. Raises `KeyError` without a match and without a default."""
    for _, value in _match(document, parse(path), ()):
        return value
    if default is _MISSING:
        raise KeyError(path)
    return default


def _match(node: Any, steps: tuple[Step, ...], where: Location) -> Iterator[tuple[Location, Any]]:
    if not steps:
        yield where, node
        return
    step, rest = steps[0], steps[1:]
    if isinstance(step, Key):
        if isinstance(node, dict) and step.name in node:
            yield from _match(node[step.name], rest, (*where, step.name))
    elif isinstance(step, Index):
        if isinstance(node, list) and -len(node) <= step.number < len(node):
            number = step.number % len(node)
            yield from _match(node[number], rest, (*where, number))
    elif isinstance(step, Every):
        for name, child in children(node):
            yield from _match(child, rest, (*where, name))
    elif isinstance(step, Where):
        for name, child in children(node):
            if isinstance(child, dict) and step.name in child and str(child[step.name]) == step.value:
                yield from _match(child, rest, (*where, name))
    elif isinstance(step, Deep):
        yield from _match(node, rest, where)
        for name, child in children(node):
            yield from _match(child, steps, (*where, name))
