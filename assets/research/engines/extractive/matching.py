"""How well a sentence answers a sub-question: which of its words the sentence and its context have, also as synonyms.

Synonyms are words whose vectors are near in the embedding model; names and numbers match only as they are written.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from assets.research.engines.extractive.candidates import Sentence
from assets.research.records import Kind, SubQuestion
from assets.research.text.measures import DIMENSION, MEASURED
from assets.research.text.quantities import Quantity, dates, named_after, names, quantities, unit_of
from assets.research.text.words import COMMON, SCALAR, WEAK, term_of, words
from core.embedding import Embedder

_SYNONYM = 0.5
"""Least cosine of two words' vectors for a match."""
_IN_CONTEXT = 0.85
_SUBJECT = 0.66
"""A name that is less rare than this is a subject of the corpus, and not every sentence about it repeats it."""
_TIME = re.compile(
    r"\b\d{1,2}:\d\d\b|\b(?:january|february|march|april|june|july|august|september|october|november|december|spring|"
    r"summer|"
    r"autumn|winter|easter|christmas|(?:mon|tues|wednes|thurs|fri|satur|sun)days?|noon|midnight|morning|"
    r"evening|"
    r"night|daily|weekly|monthly|yesterday|tomorrow|today|every (?:day|week|month|year|hour)|before|after|as soon as|"
    r"once|"
    r"(?:the )?(?:beginning|end|middle) of|century)\b",
    re.IGNORECASE,
)
_LONG = 0.2
"""What a sentence of 75 words or more loses: long ones have any words, and answer less directly."""
_LEAST_RARITY = 0.12
LEAST_WEIGHT = 0.2
"""Terms of a question that weigh more are its content; others say how it asks."""
_CAUSES = re.compile(
    r"\b(?:because|due to|caus\w+|led to|leads to|resulted? (?:in|from)|owing to|thanks to|reasons?|therefore|in "
    r"order to|so that|"
    r"if|after|to (?:avoid|prevent|reduce|save|make|allow|keep|stop|meet|protect|comply)|since|as a result|stems? from|"
    r"traced to|blamed|"
    r"attributed|triggered|motivat\w+|root cause|for fear|which meant|made it|thus|hence|so)\b",
    re.IGNORECASE,
)
_ASKS_WHY = re.compile(r"(?:^|› )why\b[^›]*$", re.IGNORECASE)
"""A section that asks why gives reasons."""
_CHANGES = re.compile(
    r"\b(?:rose|risen|rises?|fell|fallen|increas\w+|decreas\w+|grew|grown|chang\w+|replac\w+|introduc\w+|remov\w+|"
    r"renam\w+|moved?|"
    r"switch\w*|migrat\w+|raised?|lower\w*|reduced?|dropp?\w*|doubl\w+|halv\w+|since|until|from .{1,40} to|now|no "
    r"longer|previously|"
    r"formerly|originally|at first|later|became|expanded|extended|cut|in (?:19|20)\d\d)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A term of the question. `name`: it must occur as written."""

    term: str
    word: str
    weight: float
    name: bool


def asked_terms(sub: SubQuestion, rarity: Mapping[str, float]) -> list[Asked]:
    """The question's terms with their weights: rarer ones count more, question words little."""
    found: dict[str, Asked] = {}
    named = {term_of(part) for name in names(f"x {sub.text}") for part in name.split()}
    for word in words(sub.text):
        lower = word.text.lower()
        if lower in COMMON or word.term in found:
            continue
        is_name = word.term in named or any(char.isdigit() for char in word.text)
        weight = max(_LEAST_RARITY, rarity.get(word.term, 0.8) ** 1.5)
        if word.term in WEAK or word.term in SCALAR:
            weight *= 0.15
        elif is_name and sub.kind is Kind.CHANGE and word.term.isdigit():
            weight *= 0.1
        elif is_name:
            weight *= 1.2 if rarity.get(word.term, 0.8) >= _SUBJECT else 0.6
        found[word.term] = Asked(word.term, lower, weight, is_name)
    if sub.expects == "name":  # "which countries": names answer it, not the word
        for word in re.findall(r"\b(?:what|which)\s+([a-z]+)", sub.text, re.IGNORECASE):
            if one := found.get(term_of(word)):
                found[one.term] = Asked(one.term, one.word, one.weight * 0.15, False)
    for month in _MONTH.findall(sub.text):
        found[term_of(month)] = Asked(term_of(month), month.lower(), 0.8, True)
    for term in _beside_names(sub.text, named):
        if (one := found.get(term)) and not one.name:
            found[term] = Asked(term, one.word, one.weight * 0.45, False)
    return list(found.values())


_MONTH = re.compile(
    r"(?<=\bin )(?:January|February|March|April|May|June|July|August|September|October|November|December)\b"
)


def _beside_names(text: str, named: set[str]) -> set[str]:
    """Nouns that only say what a name is: "the Kestrel project", "the company Acme"."""
    every = words(text)
    found = set()
    for before, word, after in zip([None, *every], every, [*every[1:], None], strict=False):
        if word.term in named or word.text.lower() in COMMON:
            continue
        follows = before is not None and before.term in named and not before.text.endswith(("'s", "’s"))
        if follows and word.text.islower() and (after is None or after.text.lower() in COMMON):
            found.add(word.term)
        if after is not None and after.term in named and word.text.lower() in _KINDS:
            found.add(word.term)
    return found


_KINDS = frozenset(
    [
        "company",
        "project",
        "system",
        "tool",
        "library",
        "service",
        "firm",
        "product",
        "town",
        "city",
        "village",
        "country",
        "river",
        "lake",
    ]
)


class Matcher:
    """Scores sentences for one sub-question."""

    def __init__(self, sub: SubQuestion, rarity: Mapping[str, float], embedder: Embedder | None) -> None:
        self.sub = sub
        self.asked = asked_terms(sub, rarity)
        self._embedder = embedder
        self._total = sum(a.weight for a in self.asked) or 1.0
        self._rest = sum(a.weight for a in self.asked if not a.name)
        self._unit = _counted(sub.text) if sub.expects == "number" else ""
        self._values = {q.value for q in quantities(sub.text)}
        self._years = {d.year for d in dates(sub.text)}
        self._known = {a.term for a in self.asked}
        self._rarity = rarity
        self.units = set(DIMENSION.get(self._unit, _counted_nouns(sub.text) if self._unit else ()))
        self._measured = any(a.term in MEASURED for a in self.asked)
        self._query = embedder.embed_query(sub.text) if embedder else None

    def score(self, found: Sequence[Sentence]) -> None:
        """Fills in how well each sentence matches."""
        near = self._synonyms(found)
        like: Any = np.zeros(len(found))
        if self._embedder is not None and self._query is not None and found:
            like = self._embedder.embed_documents([f"{one.passage.heading} {one.text}" for one in found]) @ self._query
        for one, likeness in zip(found, like, strict=True):
            self._score(one, near)
            one.score += 0.1 * float(likeness)

    def _synonyms(self, found: Sequence[Sentence]) -> dict[str, dict[str, float]]:
        """By term of the question: the words of the sentences that mean something near, with how near."""
        soft = [a for a in self.asked if not a.name and a.term not in WEAK]
        surfaces: dict[str, str] = {}
        for one in found:
            for word in one.own:
                if word.term not in surfaces and word.text.isalpha() and word.text.lower() not in COMMON:
                    surfaces[word.term] = word.text.lower()
        near: dict[str, dict[str, float]] = {a.term: {} for a in self.asked}
        others = list(surfaces)
        for a in self.asked:
            for term in others:
                if same_root(a.term, term):
                    near[a.term][term] = 0.9
        if self._embedder is None or not soft or not others:
            return near
        vectors = self._embedder.embed_documents([surfaces[t] for t in others])
        cosines = self._embedder.embed_documents([a.word for a in soft]) @ vectors.T
        for row, a in enumerate(soft):
            for column in np.flatnonzero(cosines[row] >= _SYNONYM):
                term = others[int(column)]
                near[a.term][term] = max(near[a.term].get(term, 0.0), float(cosines[row, column]))
        return near

    def _score(self, one: Sentence, near: Mapping[str, Mapping[str, float]]) -> None:
        own = {w.term for w in one.own}
        one.labelled = one.labelled and self.sub.kind in (Kind.FACT, Kind.OVERVIEW, Kind.COMPARISON)
        cover = inside = rest = 0.0
        units = _units(one.text) if self._measured else set()
        one.named, lacks_name = True, False
        for a in self.asked:
            here = (
                1.0
                if a.term in own or (a.term in MEASURED and units & MEASURED[a.term])
                else max((s for t, s in near[a.term].items() if t in own), default=0.0)
            )
            there = (
                1.0
                if a.term in one.context
                else max((s for t, s in near[a.term].items() if t in one.context), default=0.0)
            )
            best = max(here, _IN_CONTEXT * there)
            cover += a.weight * best
            inside += a.weight * here
            if not a.name:
                rest += a.weight * best
            elif best < 0.5 and not self._is_scope(a):
                one.named = one.named and self._rarity.get(a.term, 0.8) < _SUBJECT
                lacks_name = True
            if best:
                one.matched[a.term] = best
        one.all_named = not lacks_name
        one.cover, one.inside = cover / self._total, inside / self._total
        one.rest = rest / self._rest if self._rest else 1.0
        if lacks_name and (one.rest < 0.75 or not self._rest):
            one.named = False
        one.typed = self._is_typed(one)
        bonus = self._bonus(one)
        length = len(one.own)
        brief = -0.1 if length < 4 and not one.labelled else -_LONG * min(1.0, max(0, length - 25) / 50)
        code = -0.3 if one.passage.code or one.text.count("\n") > 3 else 0.0
        inside = one.cover if one.labelled else one.inside
        one.score = 0.75 * one.cover + 0.25 * inside + bonus + brief + code - (0.0 if one.typed else 0.25)

    def _is_scope(self, a: Asked) -> bool:
        """Years between which something changed need not be in each sentence about it."""
        return self.sub.kind is Kind.CHANGE and a.term.isdigit()

    def _is_typed(self, one: Sentence) -> bool:
        if self.sub.expects == "number":
            return any(
                q.value not in self._values and self._counts(q) and self._measures(one.quote, q)
                for q in quantities(one.quote)
            )
        if self.sub.expects == "date":
            if any(d.year not in self._years or d.month for d in dates(one.quote)) or _TIME.search(one.quote):
                return True
            return any(q.unit == "s" for q in quantities(one.quote))
        if self.sub.expects == "name":
            return any(term_of(n.split()[-1]) not in self._known for n in names(f"x {one.text}"))
        if self.sub.kind is Kind.CAUSE:
            return bool(_CAUSES.search(one.quote) or _ASKS_WHY.search(one.passage.heading))
        return True

    def _measures(self, text: str, q: Quantity) -> bool:
        """Whether a figure is not only a part of a name, unless the question has that name: "which Python version"."""
        name = named_after(text, q)
        return not name or term_of(name) in self._known

    def _counts(self, q: Quantity) -> bool:
        """Whether a figure is of what is counted or measured, as far as its unit says."""
        if not self.units or not q.unit:
            return True
        own = {q.unit, q.unit.partition("/")[0], q.head} - {""}
        if own & self.units or "/s" in self.units:
            return True
        return any(same_root(a, b) for a in own for b in self.units)

    def _bonus(self, one: Sentence) -> float:
        kind = self.sub.kind
        if self.sub.expects == "number" and self._unit:
            units = {q.unit.split("/")[0] for q in quantities(one.text)}
            return 0.1 if self._unit in units or (self._unit in DIMENSION and units & DIMENSION[self._unit]) else 0.0
        if kind is Kind.CAUSE:
            return 0.12 if _CAUSES.search(one.text) else 0.0
        if kind is Kind.CHANGE:
            return 0.12 if _CHANGES.search(one.text) or dates(one.text) else 0.0
        if kind is Kind.DEFINITION:
            return self._defines(one)
        return 0.0

    def _defines(self, one: Sentence) -> float:
        match = re.match(
            r"^(.{1,80}?)\s+(?:is|are|was|were|means|refers to|stands for|denotes)\s+(?:an?|the|one|any)\b", one.text
        )
        if match is None:
            return 0.0
        head = {w.term for w in words(match.group(1)) if w.text.lower() not in COMMON}
        return 0.25 * len(self._known & head) / len(head) if head else 0.0


def same_root(a: str, b: str) -> bool:
    if a == b or len(a) < 4 or len(b) < 4:
        return False
    if a[-1].isdigit() or b[-1].isdigit():
        return False
    common = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        common += 1
    short, long = sorted((len(a), len(b)))
    return common >= 4 and common >= short - 1 and long - common <= 5 and common >= 0.6 * long


def _units(text: str) -> set[str]:
    found = {q.unit for q in quantities(text)}
    found |= {f"/{unit.partition('/')[2]}" for unit in found if "/" in unit}
    if re.search(r"\bper (?:second|minute|hour|day)\b", text):
        found.add("/s")
    return found


def _counted(text: str) -> str:
    match = re.search(
        r"\bhow (many|much|long|far|fast|tall|heavy|high|deep|wide|old|often|expensive|hot|cold|large|big|quickly|"
        r"soon)\b\s*([a-z-]*)",
        text,
        re.I,
    )
    if match is None:
        return ""
    how, noun = match.group(1).lower(), match.group(2).lower()
    return how if how in DIMENSION else term_of(noun)


def _counted_nouns(text: str) -> set[str]:
    """The two words after "how many": one of them is what is counted."""
    match = re.search(r"\bhow many\s+([a-z-]+)(?:\s+([a-z-]+))?", text, re.IGNORECASE)
    nouns = [word for word in match.groups() if word and word.lower() not in COMMON] if match else []
    return {term_of(noun) for noun in nouns} | {base for noun in nouns if (base := unit_of(noun))}
