"""Splits tasks, tests and code into terms that can be compared: words, names and values, each with a prior probability.

The prior is the probability that a random test has the term. It decides where a repository has too few tests to tell
what is rare in it. Not for the ranking of places, which has its own postings.
"""

import ast
import builtins
import datetime
import decimal
import json
import math
import os
import re
import sys
import textwrap
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from assets.executions.tokenizer import identifiers
from core.word_parts import PARTS, stem

from .numbers import numbers

Value = str | int | float
MOST_TEXT = 40_000
"""Characters of a text that are read."""
_MOST_VALUE = 400
_MOST_SIZE = 1e15
_SHORTEST_LINE = 6
"""Characters of a line that counts as a value besides the string that it is part of."""
_TOKEN = re.compile(r"(?<![A-Za-z0-9_])[A-Za-z_][A-Za-z0-9_]*")
"""A name or word; not the end of a number such as `29th` or `0x1f`."""
_PIECE = re.compile(r"[^\s,;(){}\[\]<>\"'|=]{4,60}")
_ODD = re.compile(r"[^\W_]\W+[^\W_]|[A-Za-z]\d|\d[A-Za-z]")
_DECIMAL = re.compile(r"[-+]?\d*[.,]?\d*$")
_EDGES = frozenset(" \t\n\"'`()[],;:.!?=<>") | {""}
_WRITTEN = frozenset("\"'`()[]{}=")
"""What stands around a value that is written as one, and not as a word of a sentence."""
_QUOTED = frozenset("\"'`")
_QUOTES = re.compile("`{2,3}")
_CAPITALS = re.compile(r"\b[A-Z][A-Z0-9]+\b")
_PARTICLES = frozenset(
    re.findall(
        r"\S+",
        "a about after all already also always am an and any are as at be because been before being both but by "
        "can cannot could did do does don during each either else even ever every for from get gets give given "
        "gives go got had has have he her here his how however i if in instead into is isn it its just let like "
        "many may me might more most much must my neither never no nor not now of off on once one only or other "
        "our out over own per quite rather same self she should since so some still such t than that the their "
        "them then there these they this those though through to too under until up us very via was we well were "
        "what when where whether which while who whose why will with within without would yet you your assert def "
        "return none true false py",
    )
)
"""Words without content, which are no terms."""
_EVERYDAY = frozenset(
    re.findall(
        r"\S+",
        "add again argument attribute back bad bug call case change check class code come contain correct count "
        "create data day default dict different directory display do document early empty end enough entry error "
        "exact example exception exist expect extra fail failure far feature field file find first fix fixture "
        "float follow found full function handle happen help hold id implement import improve index input inside "
        "int invalid issue item keep key kind know large last later leave left length less level library line list "
        "load long look lose main make match mean message method miss missing mock module move name need new next "
        "nothing number object ok old open option order output parameter parse part pass patch path people place "
        "please point possible print problem project put python raise random read real reason release remove "
        "repeat report request result right row run save say second see seem set short show simple single size "
        "slow small space start state step stop store str string support system take test text thank thing think "
        "time try turn tuple two type unexpected update upper use user valid value version view wait want way "
        "white whole word work write wrong year zero",
    )
)
_ENDING = re.compile(r"(?:ations?|ions?|ments?|ness|ables?|ibles?|ities|ity|ives?|fully?|ers?|ors?|ally|ly|al|y|e)$")

_OPERATION = re.compile(r"(?:(?<=[\s`\w)\]])|^)(\*\*=|//=|<<=|>>=|\|=|&=|\^=|-=|\*=|/=|%=|@=|\+=)(?=[\s`\w(\[{])")
"""An operator that changes its left side, as code and as an issue write it."""
NAME_PRIOR = 0.02
_OPERATION_PRIORS = {"+=": 0.1, "-=": 0.03}
WORD_PRIOR = 0.03
EVERYDAY_PRIOR = 0.25


@lru_cache(maxsize=200_000)
def root(word: str) -> str:
    """A lower-case word without its inflection and common derivational endings: `retries` and `retry`, `collection`
    and `collected`, `parser` and `parsing` are one root."""
    found = stem(word)
    for _ in range(2):
        ending = _ENDING.search(found)
        if ending is None or ending.start() < 4:
            break
        found = found[: ending.start()]
    return found


_EVERYDAY_ROOTS = frozenset(map(root, _EVERYDAY))


_STANDARD = frozenset(
    name
    for owner in (builtins, datetime, decimal, json, math, os, os.path, re, str, bytes, list, dict, set, int, float,
                  datetime.datetime, datetime.timedelta, Path)
    for name in dir(owner)
) | sys.stdlib_module_names  # fmt: skip
"""Names of Python itself, which tests of any project use."""
_STANDARD_ROOTS = frozenset(root(name.lower()) for name in _STANDARD if "_" not in name)


def roots(text: str) -> frozenset[str]:
    """The roots of the words of a text and of the parts of its identifiers, without particles."""
    found: set[str] = set()
    for token in set(_TOKEN.findall(text[:MOST_TEXT])):
        lowered = (part.lower() for part in PARTS.findall(token))
        found.update(root(part) for part in lowered if len(part) > 1 and part not in _PARTICLES)
    return frozenset(found)


def names(text: str) -> frozenset[str]:
    """Every identifier of a program's text with at least three characters."""
    return frozenset(token for token in _TOKEN.findall(text[:MOST_TEXT]) if len(token) > 2)


def written_names(text: str) -> frozenset[str]:
    """The words of a task that look like identifiers: called, in backticks, in capitals, with an underscore, a dot or
    mixed case."""
    plain = _QUOTES.sub("`", text[:MOST_TEXT])
    return frozenset(name for name in {*identifiers(plain), *_CAPITALS.findall(plain)} if len(name) > 2)


def operations(text: str) -> frozenset[str]:
    """The operators in place, such as `|=`, that a text or a program shows."""
    return frozenset(_OPERATION.findall(text[:MOST_TEXT]))


def values(source: str) -> frozenset[Value]:
    """The strings and numbers of a piece of Python, and the keyword arguments that have one, as `limit=0`; of any other
    text none."""
    try:
        tree = ast.parse(textwrap.dedent(source[:MOST_TEXT]))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset()
    found: set[Value] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg and isinstance(node.value, ast.Constant):
            found.update(f"{node.arg}={shown}" for shown in _written(node.value.value))
        value = node.value if isinstance(node, ast.Constant) else None
        if isinstance(value, str) and 0 < len(value.strip()) <= _MOST_VALUE:
            found.add(value.strip())
            found.update(line for line in map(str.strip, value.splitlines()) if len(line) >= _SHORTEST_LINE)
            found.update(_coded(value))
        elif isinstance(value, int | float) and not isinstance(value, bool) and value == value:
            found.add(value)
    return frozenset(found)


def _written(value: object) -> tuple[str, ...]:
    """A constant as people write it."""
    shown = repr(value)
    return (
        (shown, f'"{shown[1:-1]}"') if isinstance(value, str) and len(shown) < _MOST_VALUE else (shown[:_MOST_VALUE],)
    )


def _coded(text: str) -> Iterator[str]:
    """What a string holds that nobody writes by chance, such as times, dates, versions and numbers of articles."""
    for token in _PIECE.findall(text):
        for part in {token, *token.split("-")}:
            if 4 <= len(part) <= 40 and any(map(str.isdigit, part)) and _ODD.search(part) and not _DECIMAL.match(part):
                yield part


class Term(NamedTuple):
    """A word (by its root), a name, an operator in place or a value that a text has."""

    kind: str
    text: Value

    @property
    def prior(self) -> float:
        """The probability that a random test has this term."""
        if self.kind == "word":
            return EVERYDAY_PRIOR if self.text in _EVERYDAY_ROOTS or self.text in _STANDARD_ROOTS else WORD_PRIOR
        if self.kind == "name":
            common = self.text in _STANDARD or str(self.text).lower() in _EVERYDAY
            return EVERYDAY_PRIOR if common else NAME_PRIOR
        if self.kind == "operation":
            return _OPERATION_PRIORS.get(str(self.text), 0.01)
        return _value_prior(self.text)


_ODD_PRIOR = 0.004


def _value_prior(value: Value) -> float:
    if isinstance(value, str):
        lengths = ((2, 0.5), (3, 0.2), (5, 0.06), (8, 0.02), (12, 0.006), (20, 0.002))
        if len(value) > 3 and _ODD.search(value) and any(character.isalnum() for character in value):
            return _ODD_PRIOR  # 7:60, pt-BR: nobody writes it by chance
        everyday = root(value.lower()) in _EVERYDAY_ROOTS
        return max(EVERYDAY_PRIOR if everyday else 0.0, next((p for n, p in lengths if len(value) < n), 0.0005))
    if isinstance(value, float) and not value.is_integer():
        return 0.02
    size = abs(value)
    return next((p for n, p in ((3, 0.5), (11, 0.35), (101, 0.2)) if size < n), 0.03)


class Text:
    """A task's text, in which values are looked up."""

    def __init__(self, text: str) -> None:
        self._text = text[:MOST_TEXT]
        self._numbers = numbers(self._text)

    def shows(self, value: Value) -> bool:
        """Whether the text has a value: a number in digits or words, a string between spaces, quotes or brackets."""
        if not isinstance(value, str):
            return abs(value) < _MOST_SIZE and round(float(value), 9) in self._numbers
        plain = not roots(value) and value.replace(" ", "").isalpha()  # "a", "from the"
        return self._stands(value, _WRITTEN if plain else _EDGES)

    def quotes(self, value: Value) -> bool:
        """Whether the text has a string in quotes."""
        return isinstance(value, str) and self._stands(value, _QUOTED)

    def _stands(self, value: str, edges: frozenset[str]) -> bool:
        at = self._text.find(value)
        while at >= 0:
            before, after = self._text[max(0, at - 1) : at], self._text[at + len(value) : at + len(value) + 1]
            if before in edges and after in edges:
                return True
            at = self._text.find(value, at + 1)
        return False
