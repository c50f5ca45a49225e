"""What counts as a term: words and identifiers in lower case, each identifier whole and in its parts.

The same function serves documents and queries. Bump `VERSION` when what it returns changes, since
stored postings are kept under it.
"""

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from core.word_parts import PARTS, stem

VERSION = 1

LONGEST = 64
"""Longer runs of letters (hashes, encoded data) are not terms."""

_WORD = re.compile(r"\w+")

_COMMON = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be been being but by can could did do does for from had has have how i if in into is it "
        "its me my no not now of on or our should so some such than that the their them then there these they this "
        "those to too up us very was we were what when where which while who why will with would you your",
    )
)


@lru_cache(maxsize=200_000)
def expand(word: str) -> tuple[str, ...]:
    """The terms of one word: itself in lower case, then its parts if it has more than one, stemmed."""
    return split(word)[0]


def split(word: str) -> tuple[tuple[str, ...], Sequence[str]]:
    """What `expand` and `parts` give, for a caller that asks once for each word."""
    if word.islower() and word.isalpha() and word.isascii() and len(word) <= LONGEST:
        return (stem(word),), (word,)
    bare = word.strip("_")
    if not bare or len(bare) > LONGEST:
        return (), parts(word)
    whole = bare.lower()
    found = list(map(str.lower, PARTS.findall(bare)))
    if len(found) <= 1:
        expanded: tuple[str, ...] = (stem(whole),)
    else:
        expanded = (whole, *dict.fromkeys([part for part in map(stem, found) if len(part) > 1 and part != whole]))
    return expanded, found if len(word) <= LONGEST else parts(word)


@lru_cache(maxsize=200_000)
def in_a_row(word: str) -> tuple[str, ...]:
    """The terms that stand one after the other where a word stands: its parts, or itself if it has only one."""
    expanded = expand(word)
    return expanded[1:] if len(expanded) > 1 else expanded


def is_common(word: str) -> bool:
    """Whether a word is so common in English that it says nothing."""
    return word.lower() in _COMMON


def words(text: str) -> list[str]:
    return _WORD.findall(text)


def count_terms(text: str) -> dict[str, int]:
    """Terms of a document with how often each occurs."""
    counts: dict[str, int] = {}
    for word, number in Counter(_WORD.findall(text)).items():
        for term in expand(word):
            counts[term] = counts.get(term, 0) + number
    return counts


def query_terms(text: str) -> dict[str, int]:
    """Terms of a query with how often each occurs; the commonest English words are left out."""
    counts: dict[str, int] = {}
    for word in _WORD.findall(text):
        if word.lower() not in _COMMON:
            for term in expand(word):
                counts[term] = counts.get(term, 0) + 1
    return counts


def name_terms(symbol: str) -> set[str]:
    """The terms under which a definition is found by its name; they are marked with `=`.

    The exact name comes as `=:name` (case kept), its parts as `=part`.
    """
    name = symbol.rpartition(".")[2]
    if not name or len(name) > LONGEST:
        return set()
    return {f"=:{name}", *(f"={term}" for term in expand(name))}


@lru_cache(maxsize=200_000)
def parts(word: str) -> tuple[str, ...]:
    """The words that an identifier is made of, in lower case and not stemmed."""
    return tuple(map(str.lower, PARTS.findall(word[:LONGEST])))
