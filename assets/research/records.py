"""The records of the stage: documents, passages, claims, conflicts and reports.

A passage is addressed by the hash of its text, so that stored evidence can be checked. All texts of sources are data.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from pydantic import Field

from core.work import GateCheck, Record, VerdictKind


class Trust(StrEnum):
    """How much is known about who wrote a source. It orders evidence, and weighs in a report's confidence."""

    OWN = "own"
    """The team's own material: its code, tickets and documents."""
    SCHOLARLY = "scholarly"
    PUBLIC = "public"
    """Anybody can have written it."""


def text_hash(text: str) -> str:
    """SHA-256 of a text in UTF-8, in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, list item, table row or other unit of a document, under its headings. `line` counts from 1."""

    text: str
    heading: str = ""
    line: int = 0
    code: bool = False


@dataclass(frozen=True, slots=True)
class Document:
    """A source as text. `date` is ISO 8601 (a day, month or year), `licence` an SPDX name or a text, where known."""

    address: str
    title: str
    blocks: tuple[Block, ...]
    date: str = ""
    licence: str = ""
    trust: Trust = Trust.PUBLIC
    problem: str = ""
    """Why it has no text, or not all of it."""


class Passage(Record):
    """Some lines of a source, as stored. `place` says where in the source: `line 12`, `page 3`."""

    hash: str
    text: str
    heading: str = ""
    code: bool = False
    address: str
    place: str = ""
    title: str = ""
    date: str = ""
    licence: str = ""
    trust: Trust = Trust.PUBLIC
    corpus: str = ""

    @property
    def valid(self) -> bool:
        return text_hash(self.text) == self.hash


@dataclass(frozen=True, slots=True)
class Found:
    """A passage that a corpus has found, with its score there; scores of two corpora cannot be compared."""

    passage: Passage
    score: float


class Kind(StrEnum):
    """What kind of answer a question asks for."""

    FACT = "fact"
    COMPARISON = "comparison"
    CHANGE = "change"
    CAUSE = "cause"
    DEFINITION = "definition"
    OVERVIEW = "overview"


class SubQuestion(Record):
    """One thing to look for. `expects` is what an answer must contain: number, date, name, or nothing."""

    number: int
    text: str
    kind: Kind
    expects: str = ""
    side: str = ""
    """Of a comparison: which of the things compared."""


class Quote(Record):
    """A literal part of a passage: `passage.text[start:end]`."""

    passage: str
    start: int
    end: int


class Claim(Record):
    """A sentence of the report with what supports it. `quotes[0]` is the cited sentence, the others say the same."""

    number: int
    text: str
    sub: int
    quotes: tuple[Quote, ...]
    theme: str = ""
    """What the claim is of, where only the heading of its passage says so: `threads` of "Default: 4"."""
    score: float = 0.0
    marked: str = ""
    """Why a claim of a model is doubtful; empty if it is supported."""

    @property
    def shown(self) -> str:
        return f"{self.theme}: {self.text}" if self.theme else self.text


class Conflict(Record):
    """Two quotes that cannot both be right, or not without more context. `kind`: number, date, negation, entity."""

    kind: str
    first: Quote
    second: Quote
    detail: str

    @property
    def key(self) -> frozenset[tuple[str, int]]:
        return frozenset({(self.first.passage, self.first.start), (self.second.passage, self.second.start)})


class Searched(Record):
    """What the search for a sub-question gave; `problems` are of corpora that could not be searched."""

    sub: SubQuestion
    passages: tuple[Passage, ...]
    corpora: tuple[str, ...] = ()
    documents: int = 0
    problems: tuple[str, ...] = ()
    rarity: dict[str, float] = Field(default_factory=dict)
    """How rare terms are in the corpora, from 0 (everywhere) to 1 (nowhere); without those that are not known."""


class Cost(Record):
    seconds: float = 0.0
    searches: int = 0
    passages: int = 0
    calls: int = 0
    tokens: int = 0
    money: float = 0.0


class Analysis(Record):
    """What was read out of the passages of one sub-question."""

    sub: SubQuestion
    answered: bool
    claims: tuple[Claim, ...]
    conflicts: tuple[Conflict, ...]
    missing: tuple[str, ...] = ()
    """Words of the question that no passage has."""
    set_aside: int = 0
    """Sentences that address whoever reads them with instructions; they are never quoted."""
    set_aside_at: tuple[Quote, ...] = ()
    """Where these are."""
    best: float = 0.0
    cost: Cost = Cost()
    notes: tuple[str, ...] = ()


UNANSWERED = "The sources that were searched do not answer this question."
DISAGREE = "The sources disagree"
"""What an answer may say beside its claims."""


class Report(Record):
    """An answer with everything that it rests on, except the bytes of the passages, which are stored beside it."""

    question: str
    engine: str
    answer: str
    answered: bool
    subs: tuple[SubQuestion, ...]
    unanswered: tuple[int, ...] = ()
    claims: tuple[Claim, ...] = ()
    answer_claims: tuple[int, ...] = ()
    """Numbers of the claims that the answer repeats."""
    conflicts: tuple[Conflict, ...] = ()
    sources: tuple[str, ...] = ()
    """Hashes of the cited passages; the number of a citation is the place in this list, from 1."""
    not_found: tuple[str, ...] = ()
    confidence: str = "low"
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    cost: Cost = Cost()
    created_at: datetime = Field(default_factory=lambda: datetime.now(UTC))

    @property
    def sha256(self) -> str:
        """The hash that the gate's verdict is bound to. What it cost and when it was made is no part of it."""
        return text_hash(self.model_dump_json(exclude={"cost", "created_at"}))

    def citation(self, passage: str) -> int:
        return self.sources.index(passage) + 1


class ReportVerdict(Record):
    """The gate's decision about one report, bound to its hash. `reasons` say why it is only a draft."""

    verdict: VerdictKind
    report_sha256: str
    checks: tuple[GateCheck, ...]
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """What a report is held against: passages by hash as stored for the team, and the conflicts that were found."""

    passages: dict[str, Passage]
    conflicts: tuple[Conflict, ...] = field(default=())
