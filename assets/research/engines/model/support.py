"""Holds a sentence of a model against the passages that it cites: by words, figures, names and denials.

Not a judgement of truth: a sentence is supported if what it says stands there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from assets.research.engines.extractive.instructions import is_instruction
from assets.research.engines.extractive.matching import same_root
from assets.research.gate import missing_facts
from assets.research.records import Claim, Evidence, Passage, Quote
from assets.research.text.sentences import Span, sentences
from assets.research.text.words import WEAK, content_terms, is_negated

SUPPORTED, DOUBTFUL = 0.7, 0.5
"""Share of a sentence's terms that its passages must have: to be stated, and to be stated with a mark."""


@dataclass(frozen=True, slots=True)
class Held:
    """What became of a sentence: a claim, or the reason why it was left out."""

    claim: Claim | None
    why: str = ""


def hold(text: str, number: int, sub: int, cited: Sequence[Passage]) -> Held:
    """Checks one sentence against the passages that it cites."""
    text = " ".join(text.split())
    if not cited:
        return Held(None, "it cites no passage that was given")
    if is_instruction(text):
        return Held(None, "it is an instruction")
    wanted = [t for t in content_terms(text) if t not in WEAK]
    if not wanted:
        return Held(None, "it says nothing")
    ranked = sorted(((_best(wanted, p), p) for p in cited), key=lambda one: -one[0][0])
    quotes = tuple(Quote(passage=p.hash, start=span.start, end=span.end) for (_, span), p in ranked)
    claim = Claim(number=number, text=text, sub=sub, quotes=quotes)
    if lacks := missing_facts(claim, Evidence({p.hash: p for p in cited})):
        return Held(None, f"its source lacks {', '.join(lacks)[:200]}")
    (_, span), passage = ranked[0]
    if is_negated(text) != is_negated(passage.text[span.start : span.end]):
        return Held(None, "it denies what its source says, or the other way round")
    every = {t for p in cited for t in content_terms(f"{p.title} {p.heading} {p.text}")}
    share = sum(_among(t, every) for t in wanted) / len(wanted)
    if share < DOUBTFUL:
        return Held(None, f"its source has {share:.0%} of its words")
    marked = "" if share >= SUPPORTED else f"its source has {share:.0%} of its words"
    return Held(claim.model_copy(update={"marked": marked, "score": round(share, 4)}))


def _best(wanted: Sequence[str], passage: Passage) -> tuple[float, Span]:
    """The sentence of a passage that has most of the words."""
    found = []
    for span in sentences(passage.text):
        own = set(content_terms(passage.text[span.start : span.end]))
        found.append((sum(_among(t, own) for t in wanted) / len(wanted), span))
    return max(found, key=lambda one: one[0], default=(0.0, Span(0, len(passage.text))))


def _among(term: str, terms: set[str]) -> bool:
    return term in terms or any(same_root(term, other) for other in terms)
