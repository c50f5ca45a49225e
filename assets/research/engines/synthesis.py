"""Assembles a report from the analyses of all sub-questions. It depends on them alone, so that repeating it gives the
same report."""

from collections.abc import Mapping, Sequence

from assets.research.engines.extractive.matching import LEAST_WEIGHT, asked_terms
from assets.research.records import (
    DISAGREE,
    UNANSWERED,
    Analysis,
    Claim,
    Conflict,
    Cost,
    Kind,
    Passage,
    Quote,
    Report,
    Searched,
    Trust,
)
from assets.research.text.words import terms

MOST_CLAIMS = 40
MOST_PLACES = 5
"""Places that the note about sentences that were set aside names."""


def synthesise(
    question: str,
    engine: str,
    searched: Sequence[Searched],
    analyses: Sequence[Analysis],
    cost: Cost,
    notes: Sequence[str] = (),
) -> Report:
    """The report. `searched` and `analyses` are in the order of the sub-questions."""
    passages = {p.hash: p for s in searched for p in s.passages}
    conflicts = _conflicts(analyses)
    claims = _claims(analyses)
    answer, answer_claims = _answer(analyses, claims, conflicts, passages)
    used = [q.passage for c in claims for q in c.quotes]
    used += [q.passage for c in conflicts for q in (c.first, c.second)]
    sources = tuple(dict.fromkeys(used))
    unanswered = tuple(a.sub.number for a in analyses if not a.answered)
    confidence, reasons = _confidence(analyses, claims, conflicts, passages)
    if confidence == "high" and (absent := _rarest_absent(searched, claims, passages)):
        confidence, reasons = "medium", (*reasons, f"no best passage has the question's rarest word, {absent}")
    problems = tuple(dict.fromkeys(p for s in searched for p in s.problems))
    told = [*notes, *problems, *dict.fromkeys(note for a in analyses for note in a.notes)]
    told += _set_aside(analyses, passages)
    return Report(
        question=question,
        engine=engine,
        answer=answer,
        answered=bool(claims),
        subs=tuple(a.sub for a in analyses),
        unanswered=unanswered,
        claims=claims,
        answer_claims=answer_claims,
        conflicts=conflicts,
        sources=sources,
        not_found=_not_found(analyses, searched),
        confidence=confidence,
        reasons=reasons,
        notes=tuple(told),
        cost=cost.model_copy(
            update={
                "calls": sum(a.cost.calls for a in analyses),
                "tokens": sum(a.cost.tokens for a in analyses),
                "money": round(sum(a.cost.money for a in analyses), 6),
            }
        ),
    )


def _set_aside(analyses: Sequence[Analysis], passages: Mapping[str, Passage]) -> list[str]:
    """The note about sentences that were set aside, with the places of their passages; none without such sentences."""
    quotes = dict.fromkeys(q for a in analyses for q in a.set_aside_at)
    count = len(quotes) or sum(a.set_aside for a in analyses)
    if not count:
        return []
    sources = [passages[q.passage] for q in quotes if q.passage in passages]
    places = list(dict.fromkeys(f"{p.address}, passage at {p.place}" if p.place else p.address for p in sources))
    more = f"; and {len(places) - MOST_PLACES} more places" if len(places) > MOST_PLACES else ""
    where = f" ({'; '.join(places[:MOST_PLACES])}{more})" if places else ""
    if count == 1:
        return [
            f"1 sentence of the sources addresses its reader with instructions{where}; it was treated as data and is "
            "not quoted."
        ]
    return [
        f"{count} sentences of the sources address their reader with instructions{where}; they were treated as data "
        "and are not quoted."
    ]


def _claims(analyses: Sequence[Analysis]) -> tuple[Claim, ...]:
    """All claims, numbered through. A sentence that answers two sub-questions is there once."""
    found: list[Claim] = []
    seen: dict[tuple[str, int], int] = {}
    for analysis in analyses:
        for claim in analysis.claims:
            key = (claim.quotes[0].passage, claim.quotes[0].end) if claim.quotes else (claim.text, 0)
            if key in seen or len(found) >= MOST_CLAIMS:
                continue
            seen[key] = len(found)
            found.append(claim.model_copy(update={"number": len(found) + 1}))
    return tuple(found)


def _conflicts(analyses: Sequence[Analysis]) -> tuple[Conflict, ...]:
    found: dict[frozenset[tuple[str, int]], Conflict] = {}
    for analysis in analyses:
        for conflict in analysis.conflicts:
            found.setdefault(conflict.key, conflict)
    return tuple(found.values())


def _answer(
    analyses: Sequence[Analysis],
    claims: Sequence[Claim],
    conflicts: Sequence[Conflict],
    passages: Mapping[str, Passage],
) -> tuple[str, tuple[int, ...]]:
    """The short answer, and the claims that it repeats."""
    if not claims:
        return UNANSWERED, ()
    parts, used = [], []
    for analysis in analyses:
        own = [c for c in claims if c.sub == analysis.sub.number]
        if not own:
            continue
        best = max(own, key=lambda c: c.score) if analysis.sub.kind is not Kind.CHANGE else own[-1]
        side = f"{analysis.sub.side}: " if analysis.sub.side else ""
        parts.append(f"{side}{best.shown}")
        used.append(best.number)
    quotes = {(q.passage, q.end) for c in claims if c.number in used for q in c.quotes}
    disputed = [
        c for c in conflicts if (c.first.passage, c.first.end) in quotes or (c.second.passage, c.second.end) in quotes
    ]
    if disputed:
        details = "; ".join(dict.fromkeys(c.detail for c in disputed[:3]))
        parts.insert(0, f"{DISAGREE} ({details}).")
    return " ".join(parts), tuple(used)


def _not_found(analyses: Sequence[Analysis], searched: Sequence[Searched]) -> tuple[str, ...]:
    found = []
    for analysis, search in zip(analyses, searched, strict=True):
        if analysis.answered:
            continue
        where = f"{search.documents} documents of " if search.documents else ""
        corpora = ", ".join(search.corpora) or "no corpus"
        words = f"; no passage has: {', '.join(analysis.missing)}" if analysis.missing else ""
        found.append(f"“{analysis.sub.text}” in {where}{corpora}{words}")
    return tuple(found)


def _confidence(
    analyses: Sequence[Analysis],
    claims: Sequence[Claim],
    conflicts: Sequence[Conflict],
    passages: Mapping[str, Passage],
) -> tuple[str, tuple[str, ...]]:
    """High, medium or low, with the reasons."""
    if not claims:
        return "low", ("nothing was found that answers the question",)
    reasons: list[str] = []
    points = 0
    addresses = {passages[q.passage].address for c in claims for q in c.quotes if q.passage in passages}
    agreed = sum(1 for c in claims if len(c.quotes) > 1)
    reasons.append(f"{len(addresses)} source{'s' if len(addresses) != 1 else ''} cited")
    points += len(addresses) >= 2
    if agreed:
        points += 1
        reasons.append(f"{agreed} finding{'s' if agreed > 1 else ''} stated by more than one source")
    best = max((a.best for a in analyses), default=0.0)
    if best >= 0.85:
        points += 1
        reasons.append("the best sentence has all that the question names")
    if conflicts:
        points -= 2
        reasons.append(f"{len(conflicts)} conflict{'s' if len(conflicts) > 1 else ''} between sources")
    if unanswered := sum(1 for a in analyses if not a.answered):
        points -= 1
        reasons.append(f"{unanswered} of {len(analyses)} parts of the question are not answered")
    public = [
        p for p in {q.passage for c in claims for q in c.quotes} if p in passages and passages[p].trust is Trust.PUBLIC
    ]
    if public:
        points -= 1
        reasons.append("it rests on public pages, which anybody can have written")
    if any(c.marked for c in claims):
        points -= 1
        reasons.append("sentences of a model are marked as not fully supported")
    level = "high" if points >= 2 else ("medium" if points >= 1 else "low")
    return level, tuple(reasons)


def _rarest_absent(searched: Sequence[Searched], claims: Sequence[Claim], passages: Mapping[str, Passage]) -> str:
    """The question's rarest content word in the corpora, if the best passage of no part of the question has it."""
    asked = [(one.rarity.get(a.term, 0.0), a) for one in searched for a in asked_terms(one.sub, one.rarity)]
    content = [(rarity, a) for rarity, a in asked if a.weight > LEAST_WEIGHT]
    if not content:
        return ""
    rarest = max(content, key=lambda one: one[0])[1]
    for number in {claim.sub for claim in claims}:
        best = max((c for c in claims if c.sub == number), key=lambda c: c.score)
        for quote in best.quotes:
            if (p := passages.get(quote.passage)) is not None and rarest.term in terms(
                f"{p.title} {p.heading} {p.text}"
            ):
                return ""
    return rarest.word


def quote_text(quote: Quote, passages: Mapping[str, Passage]) -> str:
    """The quoted text, empty if the passage is not there (any more)."""
    passage = passages.get(quote.passage)
    return "" if passage is None else passage.text[quote.start : quote.end]
