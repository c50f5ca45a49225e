"""Queries: `a=1&b=two+words`."""

from __future__ import annotations

from urllib.parse import quote, unquote


def decoded(text: str) -> str:
    return unquote(text.replace("+", " "))


def parse_query(text: str) -> dict[str, list[str]]:
    """The values of each key, in order. A key without `=` has an empty value."""
    found: dict[str, list[str]] = {}
    for part in text.lstrip("?").split("&"):
        if not part:
            continue
        key, _, value = part.partition("=")
        found.setdefault(decoded(key), []).append(decoded(value))
    return found


def build_url(path: str, **values: object) -> str:
    """A path with a query; values that are None are left out, lists give their key several times."""
    parts = []
    for key, value in values.items():
        for item in value if isinstance(value, list) else [value]:
            if item is not None:
                parts.append(f"{quote(key, safe='')}={quote(str(item), safe='')}")
    return f"{path}?{'&'.join(parts)}" if parts else path
