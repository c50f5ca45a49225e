"""Splits a passage into sentences by their places, so that each is a literal part of it."""

import re
from dataclasses import dataclass

_END = re.compile(r"[.!?…]+[\"'”’)\]]*(?=\s)|\n\s*\n|\n(?=\s*(?:[-*•+]|\d{1,3}[.)])\s)|\n(?=\|)|。|！|？")
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|cf|approx|no|nos|fig|figs|eq|vol|pp|ed|eds|al|dr|mr|mrs|ms|prof|st|inc|ltd|co|corp|jr|"
    r"sr|"
    r"dept|est|min|max|jan|feb|mar|apr|jun|jul|aug|sep|sept|oct|nov|dec|ca)|\b[A-Z])\.$",
    re.IGNORECASE,
)
_TITLE = re.compile(r"\b(?:[A-Z]|Dr|Mrs?|Ms|Prof|St|No|Fig|vs)\.$")
LONGEST = 1_200
"""A longer sentence is cut at the next space, in characters."""


@dataclass(frozen=True, slots=True)
class Span:
    start: int
    end: int


def sentences(text: str) -> list[Span]:
    """The sentences, list items and table rows of a text; white space around them is left out."""
    found: list[Span] = []
    begin = 0
    for match in _END.finditer(text):
        before = text[max(begin, match.start() - 12) : match.start() + 1]
        is_point = text[match.start()] == "."
        following = text[match.end() : match.end() + 2].lstrip()[:1]
        # "No. 5", "e.g. this" and "J. Smith" go on; an end of a line after an abbreviation is a sentence's too.
        goes_on = following.islower() or following.isdigit() or _TITLE.search(before)
        if is_point and goes_on and _ABBREVIATION.search(before) and "\n\n" not in match.group():
            continue
        if is_point and following.islower():
            continue
        _add(found, text, begin, match.end())
        begin = match.end()
    _add(found, text, begin, len(text))
    return found


def _add(found: list[Span], text: str, begin: int, end: int) -> None:
    while begin < end and text[begin].isspace():
        begin += 1
    while end > begin and text[end - 1].isspace():
        end -= 1
    while end - begin > LONGEST:
        cut = text.rfind(" ", begin + LONGEST // 2, begin + LONGEST)
        cut = cut if cut > begin else begin + LONGEST
        found.append(Span(begin, cut))
        begin = cut + 1
    if end > begin and any(char.isalnum() for char in text[begin:end]):
        found.append(Span(begin, end))
