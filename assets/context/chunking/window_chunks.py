"""The fallback for text in an unknown language: windows of lines, ended at blank lines where possible."""

from collections.abc import Sequence

from assets.context.chunking.segment import Segment

LINES = 40
_SLACK = 12


def segments(lines: Sequence[str], size: int = LINES) -> list[Segment]:
    found = []
    first = 1
    while first <= len(lines):
        last = min(first + size - 1, len(lines))
        if last < len(lines):
            last = next((n for n in range(last, last - _SLACK, -1) if not lines[n - 1].strip()), last)
        if any(line.strip() for line in lines[first - 1 : last]):
            found.append(Segment("window", first, last))
        first = last + 1
    return found
