"""Turns a file's definitions, a tree of line spans, into segments.

All languages share this, so that nesting, shared lines and code between definitions are treated alike.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from assets.context.chunking.segment import Segment

_CLOSING = re.compile(r"\s*(?:(?:[})\]][})\];,]*|end)\s*(?://.*|/\*[^*]*\*/\s*|#.*)?|#\s*endif\b.*)?")

_OPENING = re.compile(r"(?:[{(]|\bdo(?: *\|[^|]*\|)?)\s*$")


@dataclass(slots=True)
class Definition:
    """Lines `first` to `last` (1-based, inclusive), including its decorators and the comment above.

    The definitions in `inner` become segments of their own; the lines between them keep its symbol.
    """

    kind: str
    first: int
    last: int
    symbol: str
    signature: str = ""
    docstring: str = ""
    inner: list["Definition"] = field(default_factory=list)


def cover(lines: Sequence[str], definitions: Sequence[Definition], docstring: str = "") -> list[Segment]:
    """Segments for all lines that are not blank, in order. `docstring` is that of the module."""
    found: list[Segment] = []
    _cover(lines, found, Definition("module", 1, len(lines), "", "", docstring, list(definitions)), 1)
    return found


def _cover(lines: Sequence[str], found: list[Segment], owner: Definition, first: int) -> None:
    """Appends segments for the owner's lines from `first` on: its inner definitions and the lines between them."""
    at = first
    for definition in owner.inner:
        start = max(definition.first, at)
        last = min(definition.last, owner.last)
        if start > last:
            continue
        opening = _opening(lines, start - 1) if owner.kind == "module" else None
        if opening is not None and opening >= at:
            start = opening
        _own(lines, found, owner, at, start - 1, first)
        if definition.inner:
            definition.last = last
            _cover(lines, found, definition, start)
        else:
            found.append(_segment(definition, start, last, definition.docstring))
        at = last + 1
    _own(lines, found, owner, at, owner.last, first)


def _opening(lines: Sequence[str], above: int) -> int | None:
    """The line that opens a block (`impl X {`, `namespace x {`) directly above its first definition, or None.

    It is joined to that definition, since it is useless as a search result of its own.
    """
    if above >= 1 and not lines[above - 1].strip():
        above -= 1
    if above < 1 or not _OPENING.search(lines[above - 1][-200:]):
        return None
    while above > 1 and lines[above - 2].lstrip().startswith(("#[", "@")):
        above -= 1
    stands_alone = above == 1 or not lines[above - 2].strip() or _CLOSING.fullmatch(lines[above - 2])
    return above if stands_alone else None


def _own(lines: Sequence[str], found: list[Segment], owner: Definition, first: int, last: int, begin: int) -> None:
    while first <= last and not lines[first - 1].strip():
        first += 1
        begin = begin if begin != first - 1 else first
    if first > last:
        return
    if found and all(map(_CLOSING.fullmatch, lines[first - 1 : last])):
        # A closing bracket is useless as a search result: it is joined to the segment above.
        above = found[-1]
        found[-1] = Segment(above.kind, above.first, last, above.symbol, above.signature, above.docstring)
        return
    found.append(_segment(owner, first, last, owner.docstring if first == begin else ""))


def _segment(definition: Definition, first: int, last: int, docstring: str) -> Segment:
    return Segment(definition.kind, first, last, definition.symbol, definition.signature, docstring)
