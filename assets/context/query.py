"""Reads a task's text: its terms, and what it says exactly (paths, stack frames, identifiers, messages).

Text comes from outside; every pattern is linear and every list is bounded.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from assets.context import terms

LONGEST_TEXT = 100_000
MOST_TERMS = 400
_MOST = 60

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
    """A place in a stack trace or test report. The later frames of one trace are nearer to the failure."""

    path: str
    line: int
    function: str


@dataclass(frozen=True)
class Query:
    """`names` are identifiers as written, `dotted` those with dots, `messages` quoted or raised texts.

    `terms` maps each term to its weight, and `written` to a word of the text that it comes from.
    """

    text: str
    terms: Mapping[str, float]
    written: Mapping[str, str]
    paths: tuple[str, ...]
    frames: tuple[Frame, ...]
    names: tuple[str, ...]
    dotted: tuple[str, ...]
    messages: tuple[str, ...]


def read_query(text: str) -> Query:
    """The first line counts double: it is the title of a ticket, or the subject of a message."""
    text = text[:LONGEST_TEXT].replace("\0", " ")
    title = text.lstrip().partition("\n")[0]
    counts = terms.query_terms(text)
    in_title = terms.query_terms(title) if len(title) < 300 else {}
    weights = {term: count**0.5 + (1.0 if term in in_title else 0.0) for term, count in counts.items()}
    written = {term: word.lower() for word in reversed(terms.words(text)) for term in reversed(terms.expand(word))}
    frames = [Frame(path, int(line), function) for path, line, function in _FRAME.findall(text)]
    frames += [Frame(path, int(line), function) for path, line, function in _PLACE.findall(text)]
    ticked = _TICKED.findall(text)
    names = [name for piece in ticked for name in _NAME.findall(piece)]
    names += _IDENTIFIER.findall(text) + _CALLED.findall(text)
    names += [part for name in _DOTTED.findall(text) for part in name.split(".")[-2:]]
    names += [frame.function for frame in frames if _NAME.fullmatch(frame.function)]
    messages = ["".join(groups) for groups in _QUOTED.findall(text)] + _RAISED.findall(text)
    return Query(
        text,
        dict(sorted(weights.items(), key=lambda item: (-item[1], item[0]))[:MOST_TERMS]),
        written,
        _distinct(_PATH.findall(text) + _FOLDER.findall(text)),
        tuple(dict.fromkeys(frames))[-_MOST:],
        _distinct(names),
        _distinct(_DOTTED.findall(text)),
        _distinct(message.strip() for message in messages if len(message.split()) >= 2),
    )


def _distinct(found: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(found))[:_MOST]
