"""Conflicts between answers: two sentences that answer one question with different figures, dates or names.

The question says what both are about, so their other words may differ; `conflicts` compares sentences by their words.
"""

import re
from collections.abc import Sequence

from assets.research.engines.extractive.candidates import Sentence
from assets.research.engines.extractive.conflict_words import CONTRASTS, RECURS, ROLE
from assets.research.engines.extractive.matching import Matcher
from assets.research.engines.extractive.statements import (
    Statement,
    agree,
    different,
    other_rows,
    roles,
    side_by_side,
    stated,
)
from assets.research.records import Conflict, Kind
from assets.research.text.quantities import Date, Quantity, named_after, quantities
from assets.research.text.words import SCALAR, WEAK, term_of

_COVERED, _INSIDE = 0.55, 0.5
_LABELLED = 0.75
"""Least cover of a labelled value, whose own words say nothing of what is asked."""
MOST_ANSWERS = 24
_GIVEN = re.compile(r"(?:\b(?:is|are|defaults?|to|value)|[:=])\s*$", re.IGNORECASE)
"""What stands before a bare number that is a value: "the number of threads, by default 4"."""


def answer_conflicts(matcher: Matcher, found: Sequence[Sentence]) -> list[Conflict]:
    """Conflicts among the sentences that answer the matcher's question, which must ask for one thing."""
    if matcher.sub.kind not in (Kind.FACT, Kind.OVERVIEW) or not matcher.sub.expects:
        return []
    if sum(a.term not in WEAK and a.term not in SCALAR for a in matcher.asked) < 2:
        return []  # too little to say that two sentences are about one thing
    fit = [one for one in found if _answers_it(one)]
    read = [Statement(one) for one in fit[:MOST_ANSWERS]]
    conflicts = []
    for i, a in enumerate(read):
        for b in read[i + 1 :]:
            if side_by_side(a.one, b.one) or different(a, b) or other_rows(a.text, b.text) or _apart(a, b):
                continue
            if (detail := _differ(matcher, a, b)) is not None:
                kind = "entity" if matcher.sub.expects == "name" else matcher.sub.expects
                conflicts.append(Conflict(kind=kind, first=a.quote(), second=b.quote(), detail=detail))
    return conflicts


def _answers_it(one: Sentence) -> bool:
    if not (one.all_named and one.typed and one.cover >= _COVERED):
        return False
    return one.inside >= _INSIDE or (one.labelled and one.cover >= _LABELLED)


def _apart(a: Statement, b: Statement) -> bool:
    """Whether the two speak of two times, or of two of a kind."""
    if a.dates and b.dates and a.quantities and b.quantities and not a.years & b.years:
        return True
    if any((x := group & a.terms) and (y := group & b.terms) and not x & y for group in CONTRASTS):
        return True
    return any(g & h and g - h and h - g for g in a.groups for h in b.groups)


def _differ(matcher: Matcher, a: Statement, b: Statement) -> str | None:
    if matcher.sub.expects == "number":
        return _numbers(matcher, a, b)
    if matcher.sub.expects == "date":
        return _dates(matcher, a, b)
    return _names(matcher, a, b)


def _numbers(matcher: Matcher, a: Statement, b: Statement) -> str | None:
    if a.years and b.years and not a.years & b.years:
        return None
    mine, theirs = _answers(matcher, a), _answers(matcher, b)
    pairs = [(x, y) for x in mine for y in theirs if x.counts_as(y) or (matcher.units and not (x.unit and y.unit))]
    if not pairs or any(agree(a, b, x, y) or stated(x, b) or stated(y, a) for x, y in pairs):
        return None
    return f"{pairs[0][0].shown} against {pairs[0][1].shown}"


def _answers(matcher: Matcher, one: Statement) -> list[Quantity]:
    """The figures in clauses that speak of what is asked; in the unit that is asked for, if there is one."""
    known = {a.term for a in matcher.asked}
    if versions := [q for q in quantities(one.text) if "." in q.shown and term_of(named_after(one.text, q)) in known]:
        return versions
    wanted = matcher.units
    least = 1 if wanted else min(2, len(known - WEAK))  # a bare number needs more to be of what is asked
    near = [
        q
        for q in one.quantities
        if len((one.clause(q.start, q.end) | {q.unit, q.head}) & known - (set() if q.unit else WEAK))
        >= (1 if q.unit else least)
        or (len(one.quantities) == 1 and (q.unit or wanted or one.one.labelled))
    ]
    said = one.terms | (one.one.context if one.one.labelled else set())
    return [
        q
        for q in near
        if not wanted
        or {q.unit.partition("/")[0], q.head} & wanted
        or (not q.unit and said & wanted and _GIVEN.search(one.text[: q.start]))
    ]


def _dates(matcher: Matcher, a: Statement, b: Statement) -> str | None:
    if RECURS.search(a.text) or RECURS.search(b.text):
        return None
    mine, theirs = _moments(matcher, a), _moments(matcher, b)
    if not mine or not theirs or any(not x.clashes(y) for x in mine for y in theirs):
        return None
    x, y = mine[0], theirs[0]
    return f"{a.text[x.start : x.end]} against {b.text[y.start : y.end]}"


def _moments(matcher: Matcher, one: Statement) -> list[Date]:
    """The dates in clauses that say what is asked, with its predicate and not only its subject."""
    known = [a.term for a in matcher.asked if a.term not in WEAK]
    found = [date for date in one.dates if len(one.clause(date.start, date.end) & set(known)) >= min(2, len(known))]
    last = set(known[-1:])
    return found or [date for date in one.dates if one.clause(date.start, date.end) & last]


def _names(matcher: Matcher, a: Statement, b: Statement) -> str | None:
    wanted = {ROLE.get(one.term, one.term) for one in matcher.asked}
    for role_a, name_a in roles(a.text):
        for role_b, name_b in roles(b.text):
            other = not set(name_a.split()) & set(name_b.split()) and name_a not in b.text and name_b not in a.text
            if other and role_a & role_b & wanted:
                return f"{name_a} against {name_b}"
    return None
