"""Splits text into terms: words and identifiers in lower case, each identifier whole and in its parts.

Documents and queries use the same functions. Raise `VERSION` when their results change, since postings are
stored under it.
"""

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from core.word_parts import PARTS, stem

VERSION = 1

LONGEST = 64
"""Longer words, such as hashes and encoded data, are not terms."""

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
    """The results of `expand` and `parts`, uncached, for a caller that splits each word once."""
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
def consecutive_terms(word: str) -> tuple[str, ...]:
    """The consecutive terms of a word in a phrase: its parts, or the word itself if it has only one."""
    expanded = expand(word)
    return expanded[1:] if len(expanded) > 1 else expanded


def is_common(word: str) -> bool:
    """Whether a word is an English stop word."""
    return word.lower() in _COMMON


def words(text: str) -> list[str]:
    return _WORD.findall(text)


def count_terms(text: str) -> dict[str, int]:
    """The terms of a document with the number of occurrences of each."""
    counts: dict[str, int] = {}
    for word, number in Counter(_WORD.findall(text)).items():
        for term in expand(word):
            counts[term] = counts.get(term, 0) + number
    return counts


def query_terms(text: str) -> dict[str, int]:
    """The terms of a query with the number of occurrences of each, without English stop words."""
    counts: dict[str, int] = {}
    for word in _WORD.findall(text):
        if word.lower() not in _COMMON:
            for term in expand(word):
                counts[term] = counts.get(term, 0) + 1
    return counts


def name_terms(symbol: str) -> set[str]:
    """The terms by which a definition is found by its name, marked with `=`.

    The exact name becomes `=:name`, in its original case; each of its terms becomes `=term`.
    """
    name = symbol.rpartition(".")[2]
    if not name or len(name) > LONGEST:
        return set()
    return {f"=:{name}", *(f"={term}" for term in expand(name))}


@lru_cache(maxsize=200_000)
def parts(word: str) -> tuple[str, ...]:
    """The words that an identifier consists of, in lower case, not stemmed."""
    return tuple(map(str.lower, PARTS.findall(word[:LONGEST])))
