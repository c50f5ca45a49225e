"""Words that are adjacent both in the text and in the code: `soft wrap` in `soft_wrap=True`, `return value`.

Only the chunks found so far are read. A pair counts more the fewer of them contain it.
"""

import math
import re
from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from assets.context.chunking import terms
from assets.context.ranking.index import Index, Ints
from assets.context.ranking.query import Query
from assets.context.ranking.signals.scores import Found, Scores, some

_APART = 2
"""The second word may be up to this many terms after the first."""

_SCALE = 10.0
_WORD = re.compile(r"\w+")


def score(query: Query, index: Index, found: Found) -> Scores:
    manifest = index.manifest
    values: dict[int, float] = defaultdict(float)
    postings = index.postings(list(dict.fromkeys(term for pair in query.pairs for term in pair)))
    held: dict[tuple[str, str], list[int]] = {}
    wanted: dict[int, list[tuple[str, str]]] = {}
    within = {term: _within(found.documents, documents) for term, (documents, _) in postings.items()}
    for pair in query.pairs:
        if pair[0] in within and pair[1] in within:
            for place in np.flatnonzero(within[pair[0]] & within[pair[1]]).tolist():
                wanted.setdefault(place, []).append(pair)
    reader = _Reader({term for pairs in wanted.values() for pair in pairs for term in pair})
    for place, pairs in wanted.items():
        after = reader.followers(found.chunks[place].text)
        for pair in pairs:
            if pair in after:
                held.setdefault(pair, []).append(int(found.documents[place]))
    reasons: dict[int, list[str]] = {}
    for (first, second), documents in held.items():
        weight = max(query.weight_of(first), query.weight_of(second)) * math.log1p(manifest.documents / len(documents))
        for document in documents:
            values[document] += weight / _SCALE
            reasons.setdefault(document, []).append(
                f"“{query.written.get(first, first)} {query.written.get(second, second)}”"
            )
    return some(values, lambda document: f"has {', '.join(reasons.get(document, [])[:4])}")


def _within(documents: Ints, ascending: Ints) -> NDArray[np.bool_]:
    """Which of the few `documents` are among the many `ascending` ones."""
    places = np.minimum(np.searchsorted(ascending, documents), len(ascending) - 1)
    return np.asarray(ascending[places] == documents)


class _Reader:
    """Finds adjacent wanted terms in many texts that share most of their words."""

    def __init__(self, wanted: set[str]) -> None:
        self._wanted = wanted
        self._counts: dict[str, int] = {}
        """The number of terms of each word seen; `_held` has the positions of wanted terms in words that have any."""
        self._held: dict[str, tuple[tuple[int, str], ...]] = {}

    def followers(self, text: str) -> set[tuple[str, str]]:
        """Pairs of wanted terms whose second term follows the first directly or one term later."""
        words = _WORD.findall(text)
        wanted, counts, held = self._wanted, self._counts, self._held
        for word in set(words).difference(counts):
            parts = terms.consecutive_terms(word)
            counts[word] = len(parts)
            if not wanted.isdisjoint(parts):
                held[word] = tuple((place, term) for place, term in enumerate(parts) if term in wanted)
        pairs: set[tuple[str, str]] = set()
        before: list[tuple[int, str]] = []
        position = 0  # of the current word's first term; not advanced while no earlier wanted term is near
        last = -1
        for number in [number for number, word in enumerate(words) if word in held]:
            for between in words[last + 1 : number]:
                position += counts[between]
                if before and position - before[-1][0] > _APART:
                    before.clear()
                if not before:
                    break
            for offset, term in held[words[number]]:
                here = position + offset
                before = [(place, earlier) for place, earlier in before if here - place <= _APART]
                pairs.update((earlier, term) for _, earlier in before)
                before.append((here, term))
            position += counts[words[number]]
            last = number
        return pairs
