"""Values of configuration texts as Python objects."""

from __future__ import annotations

_UNITS = {"k": 1024, "m": 1024**2, "g": 1024**3}


def as_bool(value: str) -> bool:
    """`yes`, `on` and `true` are true; `no`, `off` and `false` are false."""
    word = value.strip().lower()
    if word in ("yes", "on", "true"):
        return True
    if word in ("no", "off", "false"):
        return False
    raise ValueError(f"not a yes or no: {value!r}")


def as_list(value: str, separator: str = ",") -> list[str]:
    """The parts of a value without blanks around them; empty parts are left out."""
    return [part.strip() for part in value.split(separator) if part.strip()]


def as_size(value: str) -> int:
    """A number of bytes: `512`, `10k`, `3M`, `1g`."""
    text = value.strip().lower()
    if text and text[-1] in _UNITS:
        return int(text[:-1]) * _UNITS[text[-1]]
    return int(text)
