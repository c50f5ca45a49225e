"""Guesses what a column of texts holds."""

from datetime import date
from decimal import Decimal, InvalidOperation

WORDS = {"yes": True, "no": False, "true": True, "false": False}


def _integer(text):
    if not text.lstrip("+-").isascii():
        raise ValueError("not an integer")
    return int(text)


def _decimal(text):
    try:
        found = Decimal(text)
    except InvalidOperation:
        raise ValueError("not a number") from None
    if not found.is_finite():
        raise ValueError("not a number that can be added")
    return found


def _truth(text):
    try:
        return WORDS[text.lower()]
    except KeyError:
        raise ValueError("neither yes nor no") from None


_READERS = {"integer": _integer, "decimal": _decimal, "date": date.fromisoformat, "truth": _truth}


def convert(text, kind):
    """A text as a value of a kind; None for an empty one. Raises ValueError."""
    text = text.strip()
    if not text:
        return None
    return _READERS[kind](text) if kind != "text" else text


def column_type(values):
    """The first kind in which all values can be read: integer, decimal, date, truth, else text."""
    values = [value for value in values if value.strip()]
    for kind in _READERS if values else ():
        try:
            for value in values:
                convert(value, kind)
        except ValueError:
            continue
        return kind
    return "text"
