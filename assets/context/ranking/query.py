"""Parses a task's text: its terms, and exact references (paths, stack frames, identifiers, messages).

The text comes from outside: every pattern runs in linear time and every list is bounded.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from assets.context.chunking import terms
from assets.context.ranking.request_words import REQUEST_WORDS

LONGEST_TEXT = 100_000
MOST_TERMS = 400
_MOST = 60
_MOST_PAIRS = 80
_PAIRED_TEXT = 8000

_FRAME = re.compile(r'File "([^"\n]{1,400})", line (\d{1,7})(?:, in ([^\s(]{1,200}))?')
_PLACE = re.compile(r"(?<![\w/.\\-])((?:[\w.+-]+[/\\])*[\w+-][\w.+-]*\.[A-Za-z]\w{0,9}):(\d{1,7})(?:: in (\w{1,200}))?")
_PATH = re.compile(r"(?<![\w/.\\-])((?:[\w.+-]+[/\\])*[\w+-][\w.+-]*\.[A-Za-z]\w{0,5})(?![\w/\\])")
_FOLDER = re.compile(r"(?<![\w.:/-])((?:[\w+-]+/)+[\w+-]*)(?![\w./])")
_TICKED = re.compile(r"`{1,3}([^`\n]{1,200})`{1,3}")
_DOTTED = re.compile(r"(?<![\w./@])([^\W\d]\w{0,80}(?:\.[^\W\d]\w{0,80}){1,7})(?![\w/@])")
_IDENTIFIER = re.compile(
    r"(?<![\w.])(_*[a-z][a-z0-9]*(?:_[a-z0-9]+)+_*|[A-Z][a-z0-9]+(?:[A-Z][a-z0-9]*)+|[A-Z]{2,}[a-z]\w+|[a-z]+[A-Z]\w+"
    r"|_+[a-z]\w+|[A-Z]+(?:_[A-Z0-9]+)+)\b"
)
_CALLED = re.compile(r"\b([^\W\d]\w{1,80})\(")
_NAME = re.compile(r"[^\W\d]\w{1,80}")
_QUOTED = re.compile(r"\"([^\"\n]{8,300})\"|(?<!\w)'([^'\n]{8,300})'(?!\w)|“([^”\n]{8,300})”")
_RAISED = re.compile(r"^(?:E\s+)?(?:[\w.]+\.)?\w*(?:Error|Exception|Warning|Exit)\b: (.{6,300})$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Frame:
    """A place in a stack trace or test report. Later frames of a trace are nearer to the failure."""

    path: str
    line: int
    function: str


@dataclass(frozen=True)
class Query:
    """A parsed text. `terms` maps each term to its weight, `title` does so for the terms of the first line; `written`
    maps each term to the word of the text that it comes from. `pairs` are adjacent terms, `names` identifiers as
    written, `dotted` those with dots, `messages` quoted texts and messages of exceptions."""

    text: str
    terms: Mapping[str, float]
    title: Mapping[str, float]
    pairs: tuple[tuple[str, str], ...]
    written: Mapping[str, str]
    paths: tuple[str, ...]
    frames: tuple[Frame, ...]
    names: tuple[str, ...]
    dotted: tuple[str, ...]
    messages: tuple[str, ...]
    request_words: Mapping[str, float]

    def weight_of(self, term: str) -> float:
        """How much a term says about the place, from 0 (it may occur in any request) to 1."""
        return self.request_words.get(term, 1.0)


def read_query(text: str, request_words: Mapping[str, float] = REQUEST_WORDS) -> Query:
    """Parses a text. The terms of its first line, the title of a ticket or subject of a message, weigh more."""
    text = text[:LONGEST_TEXT].replace("\0", " ")
    title = text.lstrip().partition("\n")[0]
    counts = terms.query_terms(text)
    in_title = terms.query_terms(title) if len(title) < 300 else {}
    weights = {
        term: (count**0.5 + (1.0 if term in in_title else 0.0)) * request_words.get(term, 1.0)
        for term, count in counts.items()
    }
    written = {term: word.lower() for word in reversed(terms.words(text)) for term in reversed(terms.expand(word))}
    frames = [Frame(path, int(line), function) for path, line, function in _FRAME.findall(text)]
    frames += [Frame(path, int(line), function) for path, line, function in _PLACE.findall(text)]
    ticked = _TICKED.findall(text)
    names = [name for piece in ticked for name in _NAME.findall(piece)]
    names += _IDENTIFIER.findall(text) + _CALLED.findall(text)
    names += [part for name in _DOTTED.findall(text) for part in name.split(".")[-2:]]
    names += [frame.function for frame in frames if _NAME.fullmatch(frame.function)]
    messages = ["".join(groups) for groups in _QUOTED.findall(text)] + _RAISED.findall(text)
    heaviest = sorted(weights.items(), key=lambda item: (-item[1], item[0]))[:MOST_TERMS]
    return Query(
        text,
        {term: weight for term, weight in heaviest if weight > 0},
        {term: weights[term] for term in in_title if weights[term] > 0},
        _pairs(text),
        written,
        _distinct(_PATH.findall(text) + _FOLDER.findall(text)),
        tuple(dict.fromkeys(frames))[-_MOST:],
        _distinct(names),
        _distinct(_DOTTED.findall(text)),
        _distinct(message.strip() for message in messages if len(message.split()) >= 2),
        request_words,
    )


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    """Adjacent words of a line, and adjacent parts of an identifier, as terms. Stop words separate pairs."""
    pairs: dict[tuple[str, str], None] = {}
    for line in text[:_PAIRED_TEXT].splitlines():
        before = ""
        for word in terms.words(line):
            parts = () if terms.is_common(word) else terms.consecutive_terms(word)
            for part in parts:
                if before and before != part:
                    pairs.setdefault((before, part))
                before = part
            if not parts:
                before = ""
            if len(pairs) >= _MOST_PAIRS:
                return tuple(pairs)
    return tuple(pairs)


def _distinct(found: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(found))[:_MOST]
