"""From the passages of a sub-question to claims and conflicts, or to the statement that they do not answer it."""

from collections.abc import Mapping, Sequence

from assets.research.engines.extractive.answer_conflicts import answer_conflicts
from assets.research.engines.extractive.candidates import Sentence, split_passages
from assets.research.engines.extractive.conflicts import MOST_COMPARED, MOST_CONFLICTS, ConflictFinder
from assets.research.engines.extractive.instructions import is_instruction
from assets.research.engines.extractive.matching import LEAST_WEIGHT, Asked, Matcher
from assets.research.engines.extractive.select import Group, group, in_order, select
from assets.research.records import Analysis, Claim, Conflict, Kind, Quote, Searched
from core.embedding import Embedder

_COVERED = {
    Kind.FACT: 0.6,
    Kind.DEFINITION: 0.6,
    Kind.CAUSE: 0.6,
    Kind.COMPARISON: 0.55,
    Kind.CHANGE: 0.55,
    Kind.OVERVIEW: 0.5,
}
"""Least share of the question's weight that a sentence with its context must match to be an answer."""
_REST = 0.5
"""Least share of the weight of what is asked about the named things."""
_COMPARED, _BESIDE = 0.4, 0.2
"""Least share of the weight that one sentence of a conflict matches, and that the other does."""


def analyse(searched: Searched, rarity: Mapping[str, float], embedder: Embedder | None) -> Analysis:
    """Reads the passages. The result depends on them, the sub-question and `rarity` (term to 0..1) alone."""
    sub = searched.sub
    matcher = Matcher(sub, rarity, embedder)
    every = split_passages(searched.passages)
    aside = [one for one in every if is_instruction(one.text)]
    known = set(map(id, aside))
    told = [one for one in every if id(one) not in known]
    found = [one for one in told if not one.text.rstrip('*_"” ').endswith("?")]  # a question says nothing
    matcher.score(found)
    found.sort(key=lambda one: (-one.score, one.passage.hash, one.start))
    fit = [one for one in found if answers(one, sub.kind)]
    stated = [one for one in found if not one.passage.code and not one.text.rstrip().endswith(":")]
    compared = [one for one in stated if one.cover >= _BESIDE and not one.labelled][:MOST_COMPARED]
    anchors = frozenset(n for n, one in enumerate(compared) if one.cover >= _COMPARED and one.named)
    weights = {a.term: a.weight for a in matcher.asked}
    chosen = in_order(select(group(fit, rarity), sub.kind, weights), sub.kind)
    conflicts = (
        answer_conflicts(matcher, stated) + ConflictFinder(rarity, embedder).find(compared, anchors) if fit else []
    )
    conflicts = _distinct(conflicts, searched)
    claims = tuple(_claim(number, sub.number, one) for number, one in enumerate(chosen, 1))
    return Analysis(
        sub=sub,
        answered=bool(chosen),
        claims=claims,
        conflicts=tuple(conflicts),
        missing=_missing(matcher.asked, found),
        set_aside=len(aside),
        set_aside_at=tuple(Quote(passage=one.passage.hash, start=one.start, end=one.end) for one in aside),
        best=round(found[0].score, 4) if found else 0.0,
    )


def _distinct(conflicts: Sequence[Conflict], searched: Searched) -> list[Conflict]:
    """Each conflict once, also if its sentences stand in several places."""
    texts = {p.hash: p.text for p in searched.passages}
    found: dict[frozenset[str], Conflict] = {}
    for one in conflicts:
        sides = frozenset(" ".join(texts[q.passage][q.start : q.end].split()) for q in (one.first, one.second))
        found.setdefault(sides, one)
    return list(found.values())[:MOST_CONFLICTS]


def answers(one: Sentence, kind: Kind) -> bool:
    """Whether a sentence answers: it names what the question names, says something of what is asked, and has the kind
    of thing that is asked for."""
    return (
        one.named
        and one.typed
        and one.cover >= _COVERED[kind]
        and one.rest >= _REST
        and (one.inside > 0.0 or one.labelled)
    )


def _claim(number: int, sub: int, chosen: Group) -> Claim:
    quotes = [
        Quote(passage=one.passage.hash, start=one.quote_start, end=one.end) for one in (chosen.best, *chosen.others[:4])
    ]
    return Claim(
        number=number,
        text=" ".join(chosen.best.quote.split()),
        sub=sub,
        quotes=tuple(quotes),
        theme=chosen.best.passage.heading.rpartition(" › ")[2] if chosen.best.labelled else "",
        score=round(chosen.best.score, 4),
    )


def _missing(asked: Sequence[Asked], found: Sequence[Sentence]) -> tuple[str, ...]:
    """Words of the question that no sentence has, also not as a synonym."""
    best: dict[str, float] = {}
    for one in found:
        for term, value in one.matched.items():
            best[term] = max(best.get(term, 0.0), value)
    return tuple(a.word for a in asked if a.weight > LEAST_WEIGHT and best.get(a.term, 0.0) < 0.5)
