"""Cuts Markdown and reStructuredText by their headings; a section's symbol is the path of its headings.

Reads only the line structure. Lines in fenced code or in a literal block are not headings.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from assets.context.chunking.segment import Segment

SEPARATOR = " > "

_LONGEST = 120
_MOST_SETTINGS = 200
_ATX = re.compile(r" {0,3}(#{1,6})(?=[ \t\r]|$)")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_SETEXT = re.compile(r" {0,3}(=+|-{2,})[ \t]*\r?")
_BLOCK = re.compile(r" {0,3}(?:>|[-*+][ \t]|\d{1,9}[.)][ \t]|\|)|(?: {4}|\t)")
_ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1+[ \t]*\r?")


class Heading(NamedTuple):
    first: int
    """The heading's first line, 1-based."""
    level: int
    title: str


def markdown_segments(lines: Sequence[str]) -> list[Segment]:
    return _sections(lines, _markdown_headings(lines))


def restructuredtext_segments(lines: Sequence[str]) -> list[Segment]:
    return _sections(lines, _restructuredtext_headings(lines))


def _sections(lines: Sequence[str], headings: Iterator[Heading]) -> list[Segment]:
    found: list[Segment] = []
    path: list[tuple[int, str]] = []
    first, title = 1, ""

    def close(last: int) -> None:
        if any(line.strip() for line in lines[first - 1 : last]):
            symbol = SEPARATOR.join(name for _, name in path)
            found.append(Segment("section" if path else "module", first, last, symbol, title))

    for heading in headings:
        close(heading.first - 1)
        while path and path[-1][0] >= heading.level:
            path.pop()
        title = heading.title[:_LONGEST]
        path.append((heading.level, title or "-"))
        first = heading.first
    close(len(lines))
    return found


def _front_matter(lines: Sequence[str]) -> int:
    """The last line of the front matter (settings of site generators between lines of `---`), or 0 if there is none."""
    if not lines or lines[0].rstrip() != "---":
        return 0
    end = next((n for n, line in enumerate(lines[1:_MOST_SETTINGS], 2) if line.rstrip() in ("---", "...")), 0)
    return end if any(line.strip() for line in lines[1 : end - 1]) and lines[1].strip() else 0


def _markdown_headings(lines: Sequence[str]) -> Iterator[Heading]:
    fence = ""
    paragraph = 0  # the first line of the paragraph that may become a setext heading, or 0
    begin = _front_matter(lines)
    for number, line in enumerate(lines[begin:], begin + 1):
        opened = _FENCE.match(line) if "`" in line or "~" in line else None
        if fence:
            if opened and opened[1].startswith(fence) and not opened[2].strip():
                fence = ""
            continue
        if opened and not (opened[1][0] == "`" and "`" in opened[2]):
            fence, paragraph = opened[1], 0
            continue
        atx = _ATX.match(line) if "#" in line else None
        if atx:
            paragraph = 0
            yield Heading(number, len(atx[1]), _without_closing(line[atx.end() :].strip()))
        elif paragraph and line[:1] in "=- " and (under := _SETEXT.fullmatch(line)):
            title = " ".join(part.strip() for part in lines[paragraph - 1 : number - 1])
            yield Heading(paragraph, 1 if under[1][0] == "=" else 2, title)
            paragraph = 0
        elif not line.strip() or _BLOCK.match(line):
            paragraph = 0
        elif not paragraph:
            paragraph = number


def _without_closing(title: str) -> str:
    """Removes a closing sequence, as in `# Title ##`; `# C#` has none."""
    bare = title.rstrip("#")
    return bare.rstrip() if not bare or bare[-1] in " \t" else title


def _restructuredtext_headings(lines: Sequence[str]) -> Iterator[Heading]:
    """Levels are numbered in the order in which their adornments (the character, with or without overline) occur."""
    levels: dict[tuple[str, bool], int] = {}
    number = 1
    free = 1  # the line after the last heading: a heading on it needs no blank line above
    while number <= len(lines):
        under = _adornment(lines, number + 1)
        title = lines[number - 1].strip()
        over = _adornment(lines, number)
        if over and number + 2 <= len(lines) and _adornment(lines, number + 2) == over:
            inner = lines[number].strip()
            if inner and _fits(lines[number + 1], inner) and not _adornment(lines, number + 1):
                yield Heading(number, levels.setdefault((over, True), len(levels) + 1), inner)
                free = number = number + 3
                continue
        blank_above = number == free or not lines[number - 2].strip()
        flush = under and title and not over and blank_above and not lines[number - 1][:1].isspace()
        if flush and _fits(lines[number], title):
            yield Heading(number, levels.setdefault((under, False), len(levels) + 1), title)
            free = number = number + 2
            continue
        number += 1


def _adornment(lines: Sequence[str], number: int) -> str:
    """The character of which a line is made up, or an empty string."""
    if not 1 <= number <= len(lines):
        return ""
    line = lines[number - 1]
    return line[0] if line and not line[0].isalnum() and _ADORNMENT.fullmatch(line) else ""


def _fits(row: str, title: str) -> bool:
    """Whether an adornment is long enough for its title. A little less is enough, since characters differ in width;
    a single dash under a word is not an adornment."""
    length = len(row.strip())
    return (length >= 3 and length >= len(title) * 0.7) or length == len(title)
