"""Changing a document in place."""

from __future__ import annotations

from typing import Any

from treepath.path import Index, Key, PathError, parse


def put(document: Any, path: str, value: Any) -> None:
    """Sets one value. Missing dicts on the way are created; an index at the end of a list appends.

    Raises `PathError` for a path with `*`, `IndexError` for an index beyond the end.
    """
    steps = parse(path)
    if not steps:
        raise PathError(path, 0, "the document itself cannot be replaced")
    node = document
    for position, step in enumerate(steps):
        last = position == len(steps) - 1
        if isinstance(step, Key):
            if last:
                node[step.name] = value
            else:
                following = steps[position + 1]
                node = node.setdefault(step.name, [] if isinstance(following, Index) else {})
        elif isinstance(step, Index):
            if step.number == len(node):
                node.append({})
            if last:
                node[step.number] = value
            else:
                node = node[step.number]
        else:
            raise PathError(path, 0, "only one place can be set, no *")


def delete(document: Any, path: str) -> Any:
    """Removes one value and returns it. Raises `KeyError` or `IndexError` when it is not there."""
    steps = parse(path)
    if not steps:
        raise PathError(path, 0, "the document itself cannot be removed")
    node = document
    for step in steps[:-1]:
        node = node[_plain(path, step)]
    return node.pop(_plain(path, steps[-1]))


def _plain(path: str, step: Any) -> str | int:
    if isinstance(step, Key):
        return step.name
    if isinstance(step, Index):
        return step.number
    raise PathError(path, 0, "only one place can be removed, no *")
