"""Outlines a file: the signature of each definition with the first line of its docstring."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from assets.context.chunking.chunks import Chunk
from assets.context.chunking.heading_chunks import SEPARATOR

_SIGNATURE = 160
_SUMMARY = 100
_DEEPEST = 8
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class OutlineLine:
    """One definition. `depth` is the number of enclosing definitions in the outline, at most 8."""

    symbol: str
    start_line: int
    end_line: int
    depth: int
    text: str


def outline_lines(chunks: Sequence[Chunk]) -> list[OutlineLine]:
    """The definitions among the chunks of one file, in order.

    Module-level code and windows define nothing, so the outline of plain text is empty. A definition that spans
    several chunks is listed once; each overload is listed.
    """
    found: list[OutlineLine] = []
    around: list[str] = []
    seen: dict[tuple[str, str], int] = {}
    for chunk in chunks:
        if not chunk.symbol:
            continue
        key = (chunk.symbol, chunk.signature)
        if key in seen:
            first = found[seen[key]]
            found[seen[key]] = OutlineLine(first.symbol, first.start_line, chunk.end_line, first.depth, first.text)
            continue
        separator = SEPARATOR if chunk.kind == "section" else "."
        while around and not chunk.symbol.startswith(f"{around[-1]}{separator}"):
            around.pop()
        seen[key] = len(found)
        depth = min(len(around), _DEEPEST)
        found.append(OutlineLine(chunk.symbol, chunk.start_line, chunk.end_line, depth, _text(chunk)))
        around.append(chunk.symbol)
    return found


def _text(chunk: Chunk) -> str:
    head = _SPACE.sub(" ", chunk.signature or chunk.symbol).strip()
    if len(head) > _SIGNATURE:
        head = f"{head[: _SIGNATURE - 1]}…"
    summary = next((line.strip() for line in chunk.docstring.splitlines() if line.strip()), "")
    if len(summary) > _SUMMARY:
        summary = f"{summary[: _SUMMARY - 1]}…"
    return f"{head}  # {summary}" if summary else head
