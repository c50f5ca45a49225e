"""From text to values."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off", ""}
_SIZE = re.compile(r"^(\d+(?:\.\d+)?)\s*([kmg]?)(i?)b?$", re.IGNORECASE)
_SPAN = re.compile(r"(\d+)\s*(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


def to_bool(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered in _TRUE:
        return True
    if lowered in _FALSE:
        return False
    raise ValueError(f"not yes or no: {text!r}")


def to_bytes(text: str) -> int:
    """`512`, `4k` (4000), `4KiB` (4096), `1.5MB`."""
    match = _SIZE.match(text.strip())
    if match is None:
        raise ValueError(f"not a size: {text!r}")
    number, unit, binary = match.groups()
    base = 1024 if binary else 1000
    power = " kmg".index(unit.lower()) if unit else 0
    return int(float(number) * base**power)


def to_seconds(text: str) -> float:
    """`90`, `1m30s`, `250ms`."""
    text = text.strip()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = _SPAN.findall(text)
    if not parts or _SPAN.sub("", text).strip():
        raise ValueError(f"not a time span: {text!r}")
    return sum(int(number) * _SECONDS[unit] for number, unit in parts)


def to_list(text: str) -> list[str]:
    """Comma-separated; quotes keep a comma inside an item."""
    items, current, quote = [], "", ""
    for character in text:
        if quote:
            if character == quote:
                quote = ""
            else:
                current += character
        elif character in "\"'":
            quote = character
        elif character == ",":
            items.append(current.strip())
            current = ""
        else:
            current += character
    items.append(current.strip())
    return [item for item in items if item]


CONVERTERS: dict[str, Callable[[str], Any]] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": to_bool,
    "bytes": to_bytes,
    "seconds": to_seconds,
    "list": to_list,
}
