"""Texts that ask nearly the same: the Jaccard similarity of their sets of three words in a row.

Pairs are found through the rarest shingles of each text, which loses none (prefix filtering: Bayardo, Ma
and Srikant, "Scaling up all pairs similarity search", WWW 2007), so that a set of thousands takes a moment.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping

NEAR = 0.8
SHINGLE = 3
FEWEST = 8
"""Texts with fewer shingles are alike by chance; equal ones are found by their hash."""


def shingles(text: str) -> frozenset[tuple[str, ...]]:
    """The sets of three words in a row, without regard to case and punctuation."""
    words = re.findall(r"\w+", text.casefold())
    return frozenset(tuple(words[at : at + SHINGLE]) for at in range(len(words) - SHINGLE + 1))


def near_duplicates(texts: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Names of texts by the name of a text to which they are similar by at least `NEAR`; both ways."""
    sets = {name: found for name, text in texts.items() if len(found := shingles(text)) >= FEWEST}
    often = Counter(one for found in sets.values() for one in found)
    by_shingle: dict[tuple[str, ...], list[str]] = defaultdict(list)
    pairs: dict[str, list[str]] = defaultdict(list)
    for name, found in sets.items():
        rarest = sorted(found, key=lambda one: (often[one], one))
        prefix = rarest[: len(rarest) - math.ceil(NEAR * len(rarest)) + 1]
        for other in dict.fromkeys(known for one in prefix for known in by_shingle[one]):
            if similarity(found, sets[other]) >= NEAR:
                pairs[name].append(other)
                pairs[other].append(name)
        for one in prefix:
            by_shingle[one].append(name)
    return {name: tuple(found) for name, found in pairs.items()}


def similarity(one: frozenset[tuple[str, ...]], other: frozenset[tuple[str, ...]]) -> float:
    """Shared members as a part of all; 1 for equal sets."""
    return len(one & other) / len(one | other) if one or other else 1.0
