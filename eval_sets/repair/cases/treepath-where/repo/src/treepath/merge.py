"""Merging documents, as for layered settings."""

from __future__ import annotations

import copy
from typing import Any


def merge(base: Any, over: Any, *, lists: str = "replace") -> Any:
    """A new document: dicts are merged key by key, other values of `over` win.

    `lists` says what happens to two lists: `replace`, `append`, or `zip` (item by item). A key with
    the value None in `over` is removed from the result.
    """
    if lists not in ("replace", "append", "zip"):
        raise ValueError(f"lists must be replace, append or zip, not {lists!r}")
    if isinstance(base, dict) and isinstance(over, dict):
        result = copy.deepcopy(base)
        for name, value in over.items():
            if value is None:
                result.pop(name, None)
            elif name in base:
                result[name] = merge(base[name], value, lists=lists)
            else:
                result[name] = copy.deepcopy(value)
        return result
    if isinstance(base, list) and isinstance(over, list) and lists != "replace":
        if lists == "append":
            return copy.deepcopy(base) + copy.deepcopy(over)
        common = min(len(base), len(over))
        merged = [merge(base[number], over[number], lists=lists) for number in range(common)]
        longer = base if len(base) > len(over) else over
        return merged + copy.deepcopy(longer[common:])
    return copy.deepcopy(over)
