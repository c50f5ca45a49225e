"""The three-way merge of a message's text, line by line, as diff3 does it.

Source of the idea: S. Khanna, K. Kunal, B. Pierce, "A Formal Investigation of Diff3" (2007). Two changes are both taken
if no line is between, below or above both of them; changes that meet are a conflict, as in `git merge-file`.
"""

from dataclasses import dataclass
from difflib import SequenceMatcher

MOST_LINES = 1000
"""Lines that differ, of one side. Comparing more could take seconds; they are taken to conflict."""


@dataclass(frozen=True)
class _Change:
    """Lines `start` to `stop` of the base become `lines`."""

    start: int
    stop: int
    lines: tuple[str, ...]


def merge_text(base: str, mine: str, theirs: str) -> str | None:
    """Both changes of `base` in one text; None if they conflict."""
    if mine == theirs or theirs == base:
        return mine
    if mine == base:
        return theirs
    lines = base.splitlines(keepends=True)
    first, second = _changes(lines, mine.splitlines(keepends=True)), _changes(lines, theirs.splitlines(keepends=True))
    if first is None or second is None:
        return None
    for one in first:
        for other in second:
            if one != other and one.start <= other.stop and other.start <= one.stop:
                return None
    for change in sorted({*first, *second}, key=lambda one: one.start, reverse=True):
        lines[change.start : change.stop] = change.lines
    return "".join(lines)


def _changes(base: list[str], other: list[str]) -> list[_Change] | None:
    """What makes `other` of `base`, in order; None if it is too much to compare."""
    head = 0
    while head < min(len(base), len(other)) and base[head] == other[head]:
        head += 1
    tail = 0
    while tail < min(len(base), len(other)) - head and base[-1 - tail] == other[-1 - tail]:
        tail += 1
    old, new = base[head : len(base) - tail], other[head : len(other) - tail]
    if max(len(old), len(new)) > MOST_LINES:
        return None
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    return [_Change(head + i, head + j, tuple(new[k:m])) for tag, i, j, k, m in matcher.get_opcodes() if tag != "equal"]
