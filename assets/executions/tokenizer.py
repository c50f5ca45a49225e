"""Splits issues, tests and code into words, names and values that can be compared."""

import ast
import re

from core.word_parts import PARTS, stem

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_STOP = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be but by can for from get got has have i if in into is it its me my no not of on or "
        "our so test tests that the their then there this to too was we were when which with would you should self "
        "def return assert none true false expected actual result value py issue bug fix error fails failing "
        "instead does do",
    )
)
_STOP_STEMS = frozenset(map(stem, _STOP))


def words(text: str) -> set[str]:
    """The stemmed lower-case words of a text, without stop words. An identifier gives its parts and its whole."""
    found: set[str] = set()
    for match in _IDENTIFIER.finditer(text):
        name = match[0]
        parts = [part.lower() for part in PARTS.findall(name)]
        found.update(stem(part) for part in parts if len(part) > 1)
        if len(parts) > 1:
            found.add(name.lower().strip("_"))
    return found - _STOP - _STOP_STEMS


def identifiers(text: str) -> set[str]:
    """Names that look like code: with an underscore, a dot or mixed case, called, or in backticks."""
    found = set(re.findall(r"\b[A-Za-z_]\w*_\w+\b|\b[a-z]+[A-Z]\w*\b|\b[A-Z][a-z0-9]+[A-Z]\w*\b", text))
    found.update(re.findall(r"\b([A-Za-z_]\w*)\s*\(", text))
    for quoted in re.findall(r"`([^`\n]{1,200})`", text):
        found.update(_IDENTIFIER.findall(quoted))
    for dotted in re.findall(r"\b[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+\b", text):
        found.update(dotted.split("."))
    return {name for name in found if len(name) > 1 and name.lower() not in _STOP}


def literals(text: str) -> list[object]:
    """Quoted strings and numbers in a text, in order, without repeats."""
    found: list[object] = []
    for match in re.finditer(r"(?<!\w)(\"[^\"\n]{0,80}\"|'[^'\n]{0,80}'|-?\d+\.\d+|-?\d+)(?!\w)", text):
        try:
            value = ast.literal_eval(match[1])
        except (ValueError, SyntaxError):
            continue
        if not any(type(value) is type(v) and value == v for v in found):
            found.append(value)
    return found


def similarity(one: str, other: str) -> float:
    """How alike two names are, from 0 to 1, by shared parts and by shared letters at both ends."""
    if one == other:
        return 1.0
    a, b = [p.lower() for p in PARTS.findall(one)], [p.lower() for p in PARTS.findall(other)]
    shared = len(set(a) & set(b)) / max(1, len(set(a) | set(b)))
    prefix = 0
    for x, y in zip(one, other, strict=False):
        if x != y:
            break
        prefix += 1
    suffix = 0
    for x, y in zip(reversed(one), reversed(other), strict=False):
        if x != y:
            break
        suffix += 1
    letters = min(1.0, (prefix + suffix) / max(len(one), len(other)))
    return max(shared, 0.8 * letters)
