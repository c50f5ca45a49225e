"""Finds pairs of sentences that cannot both be right: by number, by date, by negation, and by entity.

Only sentences about the same subject are compared: they share names and rare words. Figures for different years are a
change and not a conflict, nor are bounds that hold together, or figures of different things (daily and monthly).
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from assets.research.engines.extractive.candidates import Sentence
from assets.research.engines.extractive.conflict_words import (
    ANTONYMS,
    BEGINS,
    CONTRASTS,
    MEASURES,
    PUNCTUATION,
    RECURS,
    ROLE,
)
from assets.research.engines.extractive.matching import same_root
from assets.research.engines.extractive.statements import (
    Statement,
    agree,
    different,
    other_rows,
    roles,
    shown,
    side_by_side,
    stated,
)
from assets.research.records import Conflict
from assets.research.text.words import WEAK, denied, is_conditional, term_of
from core.embedding import Embedder

MOST_COMPARED = 100
MOST_CONFLICTS = 12
_CLOSE = 0.55
"""Least overlap of the words of two sentences, weighted by rarity, for figures and for anything else."""
_SUBSET = 0.66
"""Least share of what a clause says, without its figure, that the other sentence and its title say too."""
_SCOPE = 0.74
"""The same for a clause that denies something: all that it denies must be said by the other."""


class ConflictFinder:
    """Compares sentences pair by pair. `rarity` weighs terms from 0 to 1; an unknown term weighs 0.8."""

    def __init__(self, rarity: Mapping[str, float], embedder: Embedder | None) -> None:
        self._rarity = rarity
        self._embedder = embedder
        self._close: dict[str, set[str]] = {}

    def find(self, found: Sequence[Sentence], anchors: frozenset[int] | None = None) -> list[Conflict]:
        """The conflicts among the sentences, those about the best sentences first; one for each pair of passages and
        kind. One side of each is among `anchors`, by place in `found`; None stands for all."""
        lower = {w.term for one in found for w in one.own if w.text.islower()}
        upper = frozenset(
            w.term
            for one in found
            for w in one.own
            if w.text[0].isupper() and w.text[-1] != "s" and w.term not in lower
        )
        read = [Statement(one, upper) for one in found[:MOST_COMPARED]]
        self._learn(read)
        conflicts: list[Conflict] = []
        seen: set[tuple[str, str, str]] = set()
        for i, a in enumerate(read):
            for j, b in enumerate(read[i + 1 :], i + 1):
                if anchors is not None and i not in anchors and j not in anchors:
                    continue
                if side_by_side(a.one, b.one):
                    continue
                if (said := self._compare(a, b)) is None:
                    continue
                kind, detail = said
                first, second = sorted((a.one.passage.hash, b.one.passage.hash))
                key = (kind, first, second)
                if key not in seen:
                    seen.add(key)
                    conflicts.append(Conflict(kind=kind, first=a.quote(), second=b.quote(), detail=detail))
        return conflicts[:MOST_CONFLICTS]

    def _learn(self, read: Sequence[Statement]) -> None:
        """Which words mean nearly the same."""
        surfaces = {w.term: w.text.lower() for r in read for w in r.one.own if w.text.isalpha() and w.term in r.terms}
        terms = sorted(surfaces)
        pairs = [(a, b) for i, a in enumerate(terms) for b in _beside(terms, i) if same_root(a, b)]
        if self._embedder is not None and terms:
            vectors = self._embedder.embed_documents([surfaces[t] for t in terms])
            close = np.argwhere(np.triu(vectors @ vectors.T, 1) >= 0.55)
            pairs += [(terms[int(i)], terms[int(j)]) for i, j in close]
        for a, b in (*pairs, *MEASURES):
            self._close.setdefault(a, set()).add(b)
            self._close.setdefault(b, set()).add(a)

    def _same(self, a: str, b: str) -> bool:
        return a == b or b in self._close.get(a, ())

    def _weight(self, term: str) -> float:
        return 0.2 if term in WEAK else max(0.1, self._rarity.get(term, 0.8))

    def _overlap(self, a: set[str], b: set[str]) -> tuple[float, set[str]]:
        """The share of the weight of the smaller set that the other has, and the shared terms."""
        if not a or not b:
            return 0.0, set()
        shared_a = {t for t in a if t in b or not b.isdisjoint(self._close.get(t, ()))}
        shared_b = {t for t in b if t in a or not a.isdisjoint(self._close.get(t, ()))}
        weight_a, weight_b = (sum(map(self._weight, s)) for s in (a, b))
        part = sum(map(self._weight, shared_a)) / weight_a, sum(map(self._weight, shared_b)) / weight_b
        return (part[0] + part[1]) / 2 * 0.4 + max(part) * 0.6, shared_a | shared_b

    def _compare(self, a: Statement, b: Statement) -> tuple[str, str] | None:
        overlap, shared = self._overlap(a.terms, b.terms)
        # A name in the one sentence and the other's title counts as shared.
        about = (a.names & b.subject) | (b.names & a.subject)
        real = {t for t in shared if t not in WEAK} | about
        if self._contrast(a.terms, b.terms) or different(a, b) or other_rows(a.text, b.text):
            return None
        if (entity := self._entity(a, b, about)) is not None:
            return entity
        if (overlap < 0.2 and not about) or len(real) < 2:
            return None
        if a.names and b.names and not a.names & b.subject and not b.names & a.subject:
            return None
        if not self._has(b, a.first) and not self._has(a, b.first):
            return None
        return self._number(a, b, overlap) or self._date(a, b, overlap) or self._denied(a, b, overlap, real)

    def _contrast(self, a: set[str], b: set[str]) -> bool:
        """Whether the sentences are about two different ones of a kind: the daily and the monthly limit."""
        return any((x := group & a) and (y := group & b) and not x & y for group in CONTRASTS)

    def _number(self, a: Statement, b: Statement, overlap: float) -> tuple[str, str] | None:
        if a.years and b.years and not a.years & b.years:
            return None
        if self._other_names(a, b):
            return None
        if _begins(a.text) != _begins(b.text):
            return None  # one says from when its figure holds, and the other is about another time
        if self._differing_units(a, b) > 1:
            return None  # a single dose for six months, two doses for five years
        for x in a.quantities:
            for y in b.quantities:
                if not x.counts_as(y) and not (x.unit and y.unit and self._same(x.unit, y.unit)):
                    continue
                if agree(a, b, x, y) or (not x.unit and overlap < 0.7):
                    continue
                near_a, near_b = a.clause(x.start, x.end) - {x.unit}, b.clause(y.start, y.end) - {y.unit}
                part = max(self._part(near_a, b.terms | b.subject), self._part(near_b, a.terms | a.subject))
                common = self._overlap(near_a, near_b)[1]
                if (
                    part < _SUBSET
                    or not (common - WEAK)
                    or self._contrast(near_a, near_b)
                    or stated(x, b)
                    or stated(y, a)
                ):
                    continue
                if any(agree(a, b, x, z) for z in b.quantities if z.counts_as(y)):
                    continue
                if any(agree(a, b, z, y) for z in a.quantities if z.counts_as(x)):
                    continue
                return "number", f"{x.shown} against {y.shown}"
        return None

    def _differing_units(self, a: Statement, b: Statement) -> int:
        """How many units both have with other figures."""
        units = {q.unit for q in a.quantities if q.unit} & {q.unit for q in b.quantities}
        return sum(
            not any(agree(a, b, x, y) for x in a.quantities for y in b.quantities if x.unit == y.unit == unit)
            for unit in units
        )

    def _has(self, read: Statement, term: str) -> bool:
        known = read.terms | read.subject
        return not term or term in known or not known.isdisjoint(self._close.get(term, ()))

    def _part(self, a: set[str], b: set[str]) -> float:
        weight = sum(map(self._weight, a))
        return (
            sum(self._weight(t) for t in a if t in b or not b.isdisjoint(self._close.get(t, ()))) / weight
            if weight
            else 0.0
        )

    def _said_with(self, read: Statement, term: str) -> set[str]:
        word = next(w for w in read.one.own if w.term == term)
        return read.clause(word.start, word.end, PUNCTUATION)

    def _other_names(self, a: Statement, b: Statement) -> bool:
        """Whether each sentence has a name that the other and its context lack, or their identifiers differ."""
        only_a, only_b = a.names - b.subject - b.terms, b.names - a.subject - a.terms
        digits_a = {t for t in a.names if any(c.isdigit() for c in t)}
        digits_b = {t for t in b.names if any(c.isdigit() for c in t)}
        if any(g & h and g - h and h - g for g in a.groups for h in b.groups):
            return True  # Anna Weiss and Karl Weiss
        return bool(only_a and only_b) or bool(digits_a and digits_b and not digits_a & digits_b)

    def _date(self, a: Statement, b: Statement, overlap: float) -> tuple[str, str] | None:
        if not a.dates or not b.dates or self._other_names(a, b) or RECURS.search(a.text) or RECURS.search(b.text):
            return None
        if any(not x.clashes(y) for x in a.dates for y in b.dates):
            return None
        if any(x.unit == y.unit and not agree(a, b, x, y) for x in a.quantities for y in b.quantities):
            return None  # figures of two times
        for x in a.dates:
            for y in b.dates:
                near_a, near_b = a.around(x.start, x.end), b.around(y.start, y.end)
                shared = self._overlap(near_a, near_b)[0]
                before, same = self._overlap(a.leading(x.start, x.end), b.leading(y.start, y.end))
                exact = {t for t in near_a if t in near_b or any(same_root(t, u) for u in near_b)} - WEAK
                verbs = exact - a.names - b.names if len(exact) >= 2 or a.names & b.names else set()
                event = before >= 0.6 and len(same - WEAK) >= 2
                if verbs and (event or (overlap >= _CLOSE and shared >= 0.4)):
                    return "date", f"{a.text[x.start : x.end]} against {b.text[y.start : y.end]}"
        return None

    def _denied(self, a: Statement, b: Statement, overlap: float, real: set[str]) -> tuple[str, str] | None:
        if (a.years and b.years and not a.years & b.years) or self._other_names(a, b):
            return None
        for antonyms in ANTONYMS:
            x, y = tuple(antonyms) if len(antonyms) == 2 else ("", "")
            for p, q in ((x, y), (y, x)):
                if p in a.terms and q in b.terms and p not in b.terms and q not in a.terms and a.negated == b.negated:
                    near_a, near_b = self._said_with(a, p), self._said_with(b, q)
                    part = max(self._part(near_a, b.terms | b.subject), self._part(near_b, a.terms | a.subject))
                    if part >= _SCOPE and self._overlap(near_a, near_b)[1] - WEAK:
                        return "negation", f"“{shown(a, p)}” against “{shown(b, q)}”"
        if len(real) < 2:
            return None
        for denying, other in ((a, b), (b, a)):
            if any(c in denying.text.lower() for c in ("not only", "not yet", "no later", "not just", "until")):
                continue
            others = [other.clause(start, start, PUNCTUATION) | {term} for start, term in denied(other.text)]
            for start, term in denied(denying.text):
                scope = denying.clause(start, start, PUNCTUATION) | {term}
                said = other.terms - {t for scopes in others if term in scopes for t in scopes}
                enough = len((scope & said) - WEAK) >= 2
                assumed = all(is_conditional(other.text, w.start) for w in other.one.own if w.term == term)
                if term in said and enough and not assumed and self._part(scope, said | other.subject) >= _SCOPE:
                    return "negation", "one denies what the other says"
        return None

    def _entity(self, a: Statement, b: Statement, about: set[str]) -> tuple[str, str] | None:
        if a.years and b.years and not a.years & b.years:
            return None
        for role_a, name_a in roles(a.text):
            for role_b, name_b in roles(b.text):
                shared = {t for t in role_a if any(self._same(t, u) for u in role_b)}
                x, y = ({term_of(p) for p in name.split()} for name in (name_a, name_b))
                if not shared or x & (y | b.terms) or y & a.terms:
                    continue
                subject = about - x - y
                others = (
                    {
                        t
                        for t in (a.terms | a.subject) & (b.terms | b.subject)
                        if t not in role_a | role_b and t not in ROLE
                    }
                    - x
                    - y
                )
                if subject or others:
                    return "entity", f"{name_a} against {name_b}"
        return None


def _beside(terms: Sequence[str], place: int) -> Iterator[str]:
    """The terms after a place, in a sorted list, that begin with the same four letters."""
    for term in terms[place + 1 :]:
        if term[:4] != terms[place][:4]:
            return
        yield term


def _begins(text: str) -> bool:
    """Whether a sentence says that its figure holds from, since or until some date."""
    return bool(BEGINS.search(text))
