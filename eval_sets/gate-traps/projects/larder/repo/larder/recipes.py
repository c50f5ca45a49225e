"""Recipes as text: a line for each ingredient, such as `200 g flour`."""

import re

UNITS = {"g": 1, "kg": 1000, "tbsp": 15, "tsp": 5}
LINE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(\w+)\s+(.+?)\s*")


class RecipeError(ValueError):
    """A line that is not an ingredient."""


def parse(text):
    """Grams by ingredient. Empty lines and lines that begin with # are left out."""
    needed = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = LINE.fullmatch(line)
        if match is None or match[2] not in UNITS:
            raise RecipeError(f"line {number}: {line.strip()!r}")
        grams = round(float(match[1]) * UNITS[match[2]])
        needed[match[3]] = needed.get(match[3], 0) + grams
    return needed


def scaled(needed, servings, wanted):
    """The amounts for another number of servings, rounded up to whole grams."""
    return {name: -(-grams * wanted // servings) for name, grams in needed.items()}
