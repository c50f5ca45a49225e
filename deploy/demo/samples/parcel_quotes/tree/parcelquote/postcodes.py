"""Postcodes as people type them, and the part of them that decides the zone."""

from __future__ import annotations

import re

_POSTCODE = re.compile(r"^(?:A-?)?(\d{4})$")


def normalise(text: str) -> str:
    """`a-8020`, ` 8020 ` and `8 020` all become `8020`. Raises `ValueError` otherwise."""
    squeezed = re.sub(r"\s+", "", text).upper()
    match = _POSTCODE.match(squeezed)
    if match is None:
        raise ValueError(f"not a postcode: {text!r}")
    return match.group(1)


def longest_prefix(postcode: str, prefixes: list[str]) -> str | None:
    """The longest of `prefixes` that the postcode starts with."""
    matching = [prefix for prefix in prefixes if postcode.startswith(prefix)]
    if not matching:
        return None
    return max(matching, key=len)
