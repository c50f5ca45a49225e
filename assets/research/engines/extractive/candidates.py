"""The sentences of found passages, each with the words around it that it may refer to: what is matched and compared."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from assets.research.records import Passage
from assets.research.text.sentences import sentences
from assets.research.text.words import COMMON, Word, words


@dataclass(slots=True)
class Sentence:
    """A sentence of a passage with how well it matches. `start` may lie before it, to include what it refers to."""

    passage: Passage
    start: int
    end: int
    quote_start: int
    text: str
    own: list[Word]
    context: frozenset[str]
    cover: float = 0.0
    inside: float = 0.0
    rest: float = 0.0
    typed: bool = True
    named: bool = True
    all_named: bool = True
    """Whether it has every name of the question, also those that the whole corpus is about."""
    labelled: bool = False
    """Whether it is only a value with its label, as "Default: 30": what it is of stands in its section."""
    score: float = 0.0
    matched: dict[str, float] = field(default_factory=dict)

    @property
    def quote(self) -> str:
        return self.passage.text[self.quote_start : self.end]


def split_passages(passages: Sequence[Passage]) -> list[Sentence]:
    """Every sentence of the passages, with the words around it that it may refer to."""
    found: list[Sentence] = []
    for passage in passages:
        head = frozenset(w.term for w in words(f"{passage.title} {passage.heading}"))
        before: list[Word] = []
        before_start = 0
        earlier: set[str] = set()
        every: frozenset[str] = frozenset()
        for span in sentences(passage.text):
            text = passage.text[span.start : span.end]
            own = words(text)
            refers = bool(_REFERS.match(text))
            start = before_start if refers and before and span.end - before_start < 700 else span.start
            context = head | frozenset(w.term for w in before) | (earlier if refers else frozenset())
            if labelled := bool(_LABELLED.match(text)) and not passage.code:
                every = every or frozenset(w.term for w in words(passage.text))
                context |= every
            found.append(Sentence(passage, span.start, span.end, start, text, own, context, labelled=labelled))
            before, before_start = own, span.start
            earlier.update(w.term for w in own if w.text[:1].isupper() and w.text.lower() not in COMMON)
    return found


_LABELLED = re.compile(
    r"^\W*(?:default|minimum|maximum|value|range|limit)s?(?: value)?(?:\W{0,3}[:=]| (?:is|to))\s*\S+(?:[ ]\S+){0,4}$",
    re.IGNORECASE,
)
_REFERS = re.compile(
    r"^\W*(?:it|its|they|their|these|those|this|that|he|she|his|her|both|such|the (?:former|latter|same))\b", re.I
)
