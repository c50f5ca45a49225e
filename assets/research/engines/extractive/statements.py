"""What a sentence says as far as it can be compared with another: its figures, dates and names."""

import itertools
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache

from assets.research.engines.extractive.candidates import Sentence
from assets.research.engines.extractive.conflict_words import (
    ACTIVE,
    APPROXIMATE,
    AT_LEAST,
    AT_MOST,
    CLAUSE,
    FUNCTIONAL,
    GENERIC,
    LABEL,
    OTHER_ONE,
    ROLE,
)
from assets.research.records import Quote
from assets.research.text.quantities import Date, Quantity, dates, named_after, names, quantities
from assets.research.text.words import COMMON, WEAK, is_negated, term_of, words

NEAR_WORDS = 6
_HABIT = re.compile(r"\b(?:is|are|be|being)\s+(?:\w+ly\s+)?$", re.IGNORECASE)
"""What happens again and again can be by several: "it is restarted by"."""


@dataclass(eq=False)
class Statement:
    """What a sentence says, as far as it is compared."""

    one: Sentence
    known: frozenset[str] = frozenset()
    """Terms that are names wherever they stand, also at the beginning of a sentence."""

    @cached_property
    def text(self) -> str:
        return self.one.text

    @cached_property
    def quantities(self) -> list[Quantity]:
        labels = [match.span(2) for match in LABEL.finditer(self.text)]
        return [
            q
            for q in quantities(self.text)
            if not any(a <= q.start < b for a, b in labels) and not named_after(self.text, q)
        ]

    @cached_property
    def dates(self) -> tuple[Date, ...]:
        return dates(self.text)

    @cached_property
    def years(self) -> set[int]:
        """The years that the sentence speaks of: its own or those of its title and heading."""
        own = {date.year for date in self.dates if date.year}
        head = {d.year for d in dates(f"{self.one.passage.title} {self.one.passage.heading}") if d.year}
        return own or head

    @cached_property
    def names(self) -> set[str]:
        """Words of the names in the sentence; without any, those of its context that are names there."""
        passage = self.one.passage
        first = re.match(r"\W*([A-Z][\w-]+)", self.text)
        units = " ".join(q.shown for q in self.quantities).split()
        found = {name for name in names(self.text) if name not in units}
        head = names(f"x {passage.title} x {passage.heading}")
        known = {term_of(part) for name in (*found, *head) for part in name.split()} | self.known
        if first and term_of(first.group(1)) in known and first.group(1).lower() not in COMMON:
            found.add(first.group(1))
        return {term_of(part) for name in found for part in re.split(r"[\s]", name) if part.lower() not in COMMON}

    @cached_property
    def subject(self) -> set[str]:
        passage = self.one.passage
        head = names(f"x {passage.title} x {passage.heading}")
        return self.names | {term_of(p) for n in head for p in n.split() if p.lower() not in COMMON}

    @cached_property
    def terms(self) -> set[str]:
        """What is said, without figures and dates."""
        figures = [(q.start, q.end) for q in self.quantities]
        when = [(d.start, d.end) for d in self.dates]
        return {
            w.term
            for w in self.one.own
            if w.text.lower() not in COMMON
            and not w.text[0].isdigit()
            and not any(a <= w.start < b for a, b in when)
            and (not any(a <= w.start < b for a, b in figures) or w.text.isalpha())
        }

    @cached_property
    def first(self) -> str:
        """The first term that says something: mostly the subject, or a part of it."""
        return next((w.term for w in self.one.own if w.term in self.terms and w.term not in WEAK), "")

    @cached_property
    def labels(self) -> dict[str, set[str]]:
        """Numbers that are names: 2 of "version 2"."""
        found: dict[str, set[str]] = {}
        for match in LABEL.finditer(self.text):
            found.setdefault(match.group(1).lower(), set()).add(match.group(2))
        return found

    @cached_property
    def groups(self) -> list[set[str]]:
        return [{term_of(part) for part in name.split()} for name in names(self.text) if " " in name]

    @cached_property
    def negated(self) -> bool:
        return is_negated(self.text)

    def around(self, start: int, end: int) -> set[str]:
        """Terms of the same clause near a place."""
        left = [w for w in self.one.own if w.end <= start and w.text.lower() not in COMMON][-NEAR_WORDS:]
        right = [w for w in self.one.own if w.start >= end and w.text.lower() not in COMMON][:NEAR_WORDS]
        return {w.term for w in (*left, *right)}

    def clause(self, start: int, end: int, cut_at: "re.Pattern[str]" = CLAUSE) -> set[str]:
        """Terms of the clause around a place; together with the clause before it, if it says little."""
        cuts = [0, *(m.end() for m in cut_at.finditer(self.text)), len(self.text)]
        at = max(i for i, cut in enumerate(cuts[:-1]) if cut <= start)
        first, last = cuts[at], max(end, cuts[at + 1])
        found = self._between(first, last, start, end)
        while len(found) < 2 and at > 0:
            at -= 1
            found |= self._between(cuts[at], last, start, end)
        return found or self._between(0, len(self.text), start, end)

    def _between(self, first: int, last: int, start: int, end: int) -> set[str]:
        return {
            w.term
            for w in self.one.own
            if first <= w.start < last and not start <= w.start < end and w.term in self.terms
        }

    def leading(self, start: int, end: int) -> set[str]:
        """The three terms before a place, or after it where it begins the sentence: what happened then."""
        left = [w for w in self.one.own if w.end <= start and w.text.lower() not in COMMON][-3:]
        if len(left) < 2:
            left += [w for w in self.one.own if w.start >= end and w.text.lower() not in COMMON][: 4 - len(left)]
        return {w.term for w in left}

    def quote(self) -> Quote:
        return Quote(passage=self.one.passage.hash, start=self.one.quote_start, end=self.one.end)


def agree(a: Statement, b: Statement, x: Quantity, y: Quantity) -> bool:
    """Whether figures of two statements can both be right: equal, nearly, or within a bound or a range."""
    before_x, before_y = a.text[max(0, x.start - 24) : x.start], b.text[max(0, y.start - 24) : y.start]
    tolerance = 0.1 if APPROXIMATE.search(before_x) or APPROXIMATE.search(before_y) else 0.006
    if abs(x.value - y.value) <= tolerance * max(abs(x.value), abs(y.value)):
        return True
    for text, bound, other in ((before_x, x.value, y.value), (before_y, y.value, x.value)):
        opposite = before_y if text is before_x else before_x
        least, most = AT_LEAST.search(text), AT_MOST.search(text)
        if least and other >= bound and not AT_LEAST.search(opposite):
            return True
        if most and other <= bound and not AT_MOST.search(opposite):
            return True
    for read, one in ((a, y), (b, x)):  # a range: 5 to 7
        values = sorted(q.value for q in read.quantities if q.unit == one.unit or not q.unit)
        if (
            len(values) >= 2
            and values[0] <= one.value <= values[-1]
            and re.search(r"\d\s*(?:-|–|to|and)\s*\d", read.text)
        ):
            return True
    return False


def roles(text: str) -> list[tuple[set[str], str]]:
    """Words of a role that only one can have, with the name that stands beside them: (designed by, Lena Voss)."""
    found = []
    for match in FUNCTIONAL.finditer(text):
        if match.group().endswith(" by") and _HABIT.search(text[: match.start()]):
            continue
        after = names(f"x {text[match.end() : match.end() + 60]}")
        before = names(text[max(0, match.start() - 60) : match.start()].partition(" ")[2])
        begins = [
            n for n in after if text[match.end() : match.end() + 60].lstrip(" ,:").removeprefix("the ").startswith(n)
        ]
        inside = [w.term for w in words(match.group()) if w.text.lower() not in COMMON]
        terms = {ROLE[term] for term in inside if term in ROLE} or set(inside[:1])
        name = (begins or after[:1] or before[-1:] or [""])[0]
        if name:
            found.append((terms, name))
    if (active := ACTIVE.search(text)) and active.group(1).split()[0].lower() not in COMMON:
        term = term_of(active.group(2))
        found.append(({ROLE.get(term, term)}, active.group(1).strip()))
    return found


def different(a: Statement, b: Statement) -> bool:
    """Whether words or numbers show that the sentences speak of two of a kind."""
    if any(noun in b.labels and not numbers & b.labels[noun] for noun, numbers in a.labels.items()):
        return True
    if _qualified(a, b) != _qualified(b, a):
        return True
    return not a.names & b.names and _parallel(a.one.passage.title, b.one.passage.title)


def _qualified(a: Statement, b: Statement) -> set[str]:
    """Words like "old" and "second" before what the other statement speaks of too."""
    own = a.one.own
    return {w.term for w, after in itertools.pairwise(own) if w.term in OTHER_ONE and after.term in b.terms}


@lru_cache(maxsize=8192)
def _parallel(a: str, b: str) -> bool:
    """Whether two titles are about two of a kind: "Recipe: rye bread" and "Recipe: pizza"."""
    p, q = (
        [
            w.term
            for w in words(t)
            if (w.text.lower() not in COMMON or (len(w.text) == 1 and w.text.isupper() and w.start))
            and w.term not in WEAK
            and not w.text.endswith((".md", ".txt", ".rst", ".html", ".pdf"))
        ]
        for t in (a, b)
    )
    only_p, only_q = set(p) - set(q) - GENERIC, set(q) - set(p) - GENERIC
    if not (only_p and only_q and set(p) & set(q)):
        return False
    one_differs = len(p) == len(q) and sum(x != y for x, y in zip(p, q, strict=True)) == 1
    return p[0] == q[0] or one_differs


def stated(quantity: Quantity, other: Statement) -> bool:
    """Whether the other sentence has the figure too, perhaps of something else."""
    number = re.split(r"[\s-]", quantity.shown)[0].strip("$€£")
    return bool(re.search(rf"(?<![\w.,]){re.escape(number)}(?![\w]|[.,]\d)", other.text, re.IGNORECASE))


def side_by_side(a: Sentence, b: Sentence) -> bool:
    """Sentences of one document do not contradict each other: they speak of several things, as rows of tables and
    the sections of a reference do."""
    p, q = a.passage, b.passage
    return p.hash == q.hash or a.text == b.text or p.address == q.address


def other_rows(a: str, b: str) -> bool:
    """Whether one of two sentences is a row of a table, whose figures need its columns, and the other is not the same
    row."""
    rows = [text.count(": ") >= 2 and "; " in text for text in (a, b)]
    return any(rows) and not (all(rows) and a.split("; ")[0] == b.split("; ")[0])


def shown(read: Statement, term: str) -> str:
    return next((w.text for w in read.one.own if w.term == term), term)
