"""Quantities from text."""

import re

from unitwise.quantity import Quantity

PART = re.compile(r"\s*(-?\d+(?:[.,]\d+)?)\s*([a-z]+)")


def parse(text):
    """The sum of all parts, such as `1 h 30 min`, in the unit of the first. Raises ValueError."""
    total, position = None, 0
    text = text.strip()
    while position < len(text):
        match = PART.match(text, position)
        if match is None:
            raise ValueError(f"not a quantity: {text!r}")
        part = Quantity(float(match[1].replace(",", ".")), match[2])
        total = part if total is None else total + part
        position = match.end()
    if total is None:
        raise ValueError("an empty text is not a quantity")
    return total


def total(texts):
    """The sum of several texts; None without any."""
    found = None
    for text in texts:
        part = parse(text)
        found = part if found is None else found + part
    return found
