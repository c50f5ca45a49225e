"""Chooses sentences: near-duplicates become further sources of one claim; the rest is picked for coverage and novelty.

Maximal marginal relevance: Carbonell and Goldstein, SIGIR 1998.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from assets.research.engines.extractive.candidates import Sentence
from assets.research.records import Kind
from assets.research.text.quantities import dates, quantities
from assets.research.text.words import COMMON, is_negated

_SAME = 0.8
"""Least overlap of the terms of two sentences that say the same, if their figures, dates and denials are equal."""

MOST = {Kind.FACT: 3, Kind.DEFINITION: 3, Kind.CAUSE: 4, Kind.COMPARISON: 3, Kind.CHANGE: 6, Kind.OVERVIEW: 8}
_FLOOR = {
    Kind.FACT: 0.72,
    Kind.DEFINITION: 0.7,
    Kind.CAUSE: 0.72,
    Kind.COMPARISON: 0.7,
    Kind.CHANGE: 0.65,
    Kind.OVERVIEW: 0.6,
}
"""Sentences below this share of the best one's score are left out."""


@dataclass
class Group:
    """A sentence with others that say the same, from other sources first."""

    best: Sentence
    others: list[Sentence] = field(default_factory=list)
    terms: frozenset[str] = frozenset()


def _terms(one: Sentence) -> frozenset[str]:
    return frozenset(w.term for w in one.own if w.text.lower() not in COMMON)


def group(found: Sequence[Sentence], rarity: Mapping[str, float]) -> list[Group]:
    """Sentences in their order, each with its near-duplicates."""
    groups: list[Group] = []
    for one in found:
        terms = _terms(one)
        same = next((g for g in groups if _says_the_same(one, terms, g, rarity)), None)
        if same is None:
            groups.append(Group(one, [], terms))
        elif all(one.passage.address != other.passage.address for other in (same.best, *same.others)):
            same.others.append(one)
    return groups


def _says_the_same(one: Sentence, terms: frozenset[str], other: Group, rarity: Mapping[str, float]) -> bool:
    if one.text == other.best.text:
        return True
    shared = sum(rarity.get(t, 0.8) + 0.05 for t in terms & other.terms)
    weight = sum(rarity.get(t, 0.8) + 0.05 for t in terms | other.terms)
    # Other words around the same figures are the same statement too.
    a, b = one.text, other.best.text
    figures = {(round(q.value, 6), q.unit) for q in quantities(a)}, {(round(q.value, 6), q.unit) for q in quantities(b)}
    times = {(d.year, d.month, d.day) for d in dates(a)}, {(d.year, d.month, d.day) for d in dates(b)}
    if figures[0] != figures[1] or times[0] != times[1] or is_negated(a) != is_negated(b):
        return False
    least = 0.5 if figures[0] or times[0] else _SAME
    return bool(weight) and shared / weight >= least


def select(groups: Sequence[Group], kind: Kind, asked: Mapping[str, float], most: int | None = None) -> list[Group]:
    """The groups to report, best first. `asked` are the question's terms with their weights."""
    if not groups:
        return []
    top = max(g.best.score for g in groups)
    left = [g for g in groups if g.best.score >= _FLOOR[kind] * top]
    chosen: list[Group] = []
    covered: set[str] = set()
    said: set[str] = set()
    while left and len(chosen) < (most or MOST[kind]):
        best = max(left, key=lambda g: (_gain(g, covered, said, asked, kind), g.best.score))
        gain = _gain(best, covered, said, asked, kind)
        if chosen and gain < 0.33 * top:
            break
        chosen.append(best)
        left.remove(best)
        covered.update(best.best.matched)
        said.update(best.terms)
    return chosen


def _gain(g: Group, covered: set[str], said: set[str], asked: Mapping[str, float], kind: Kind) -> float:
    fresh = [t for t in g.terms if t not in said]
    novelty = len(fresh) / max(1, len(g.terms))
    if kind is Kind.CHANGE and any(term[0].isdigit() for term in fresh):
        novelty = 1.0  # the same statement about another time is what is asked for
    total = sum(asked.values()) or 1.0
    new = sum(asked.get(t, 0.0) for t in g.best.matched if t not in covered) / total
    return g.best.score * (0.45 + 0.55 * min(1.0, novelty * 1.3)) + 0.25 * new + 0.03 * min(2, len(g.others))


def in_order(chosen: Sequence[Group], kind: Kind) -> list[Group]:
    """For a change over time, the order of the dates that sentences or their titles name; else as chosen."""
    if kind is not Kind.CHANGE:
        return list(chosen)
    return sorted(chosen, key=lambda g: _when(g.best))


def _when(one: Sentence) -> tuple[int, int, int]:
    for text in (one.text, one.passage.heading, one.passage.title, one.passage.date):
        if found := [d for d in dates(text) if d.year]:
            return found[0].year, found[0].month, found[0].day
    return 9999, 0, 0
