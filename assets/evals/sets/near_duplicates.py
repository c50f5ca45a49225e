"""Finds near-duplicate texts by the Jaccard similarity of their shingles (three words in a row).

Only texts that share one of their rarest shingles are compared. This misses no pair (prefix filtering: Bayardo, Ma and
Srikant, "Scaling up all pairs similarity search", WWW 2007) and keeps sets of thousands of texts fast.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping

NEAR = 0.8
SHINGLE = 3
FEWEST = 8
"""Texts with fewer shingles may be similar by chance and are not compared; equal ones are found by their hash."""


def shingles(text: str) -> frozenset[tuple[str, ...]]:
    """All runs of three words, ignoring case and punctuation."""
    words = re.findall(r"\w+", text.casefold())
    return frozenset(tuple(words[at : at + SHINGLE]) for at in range(len(words) - SHINGLE + 1))


def near_duplicates(texts: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """For each text (by name) that has any: the names of the texts with a similarity of at least `NEAR`."""
    sets = {name: found for name, text in texts.items() if len(found := shingles(text)) >= FEWEST}
    frequency = Counter(one for found in sets.values() for one in found)
    by_shingle: dict[tuple[str, ...], list[str]] = defaultdict(list)
    pairs: dict[str, list[str]] = defaultdict(list)
    for name, found in sets.items():
        rarest = sorted(found, key=lambda one: (frequency[one], one))
        prefix = rarest[: len(rarest) - math.ceil(NEAR * len(rarest)) + 1]
        for other in dict.fromkeys(known for one in prefix for known in by_shingle[one]):
            if similarity(found, sets[other]) >= NEAR:
                pairs[name].append(other)
                pairs[other].append(name)
        for one in prefix:
            by_shingle[one].append(name)
    return {name: tuple(found) for name, found in pairs.items()}


def similarity(one: frozenset[tuple[str, ...]], other: frozenset[tuple[str, ...]]) -> float:
    """The Jaccard similarity: the size of the intersection over that of the union; 1 for two empty sets."""
    return len(one & other) / len(one | other) if one or other else 1.0
