"""A unified diff as files, hunks and numbered lines, to be shown. Any text is taken; what is no diff gives little."""

import re
from dataclasses import dataclass
from typing import Literal

MOST_LINES = 3000
"""Lines that are shown of all files together."""

_HUNK = re.compile(r"@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@ ?(.*)")
_FILE = re.compile(r"diff --git a/(.*?) b/(.*)")


@dataclass(frozen=True)
class Line:
    """`old` and `new` are the line's numbers there, None where it is not. A hunk's heading has neither."""

    kind: Literal["add", "del", "same", "hunk", "note"]
    text: str
    old: int | None = None
    new: int | None = None


@dataclass(frozen=True)
class FileDiff:
    """`left` counts lines that are not shown."""

    path: str
    change: str
    added: int
    removed: int
    lines: tuple[Line, ...]
    left: int = 0


class _Reader:
    def __init__(self, path: str) -> None:
        self.path = path
        self.change = "changed"
        self.lines: list[Line] = []
        self.added = self.removed = self.left = 0
        self.old = self.new = self.old_left = self.new_left = 0

    def head(self, text: str) -> None:
        if text.startswith("new file"):
            self.change = "added"
        elif text.startswith("deleted file"):
            self.change = "deleted"
        elif text.startswith("rename to "):
            self.change, self.path = "renamed", text[len("rename to ") :]
        elif text.startswith("Binary files"):
            self.lines.append(Line("note", "a binary file"))

    def done(self) -> FileDiff:
        return FileDiff(self.path, self.change, self.added, self.removed, tuple(self.lines), self.left)


def parse_diff(diff: str) -> tuple[FileDiff, ...]:
    """The files of a diff, in order, with at most `MOST_LINES` lines."""
    found: list[FileDiff] = []
    reader: _Reader | None = None
    room = MOST_LINES
    for text in diff.split("\n"):
        inside = reader is not None and (reader.old_left > 0 or reader.new_left > 0)
        if not inside and (match := _FILE.fullmatch(text)):
            if reader is not None:
                found.append(reader.done())
            reader = _Reader(match[2])
            continue
        if reader is None:
            continue
        line = _line(reader, text, inside)
        if line is None:
            continue
        if room > 0:
            reader.lines.append(line)
            room -= 1
        else:
            reader.left += 1
    if reader is not None:
        found.append(reader.done())
    return tuple(found)


def _line(reader: _Reader, text: str, inside: bool) -> Line | None:
    """The next line of a hunk, or its heading; None for what is not shown."""
    if not inside:
        match = _HUNK.fullmatch(text)
        if match is None:
            if text.startswith("\\"):
                return Line("note", text[2:])
            reader.head(text)
            return None
        reader.old, reader.new = int(match[1]), int(match[3])
        reader.old_left = int(match[2] if match[2] is not None else 1)
        reader.new_left = int(match[4] if match[4] is not None else 1)
        return Line("hunk", match[5])
    sign, rest = text[:1], text[1:]
    if sign == "\\":
        return Line("note", text[2:])
    line = Line("same", rest, reader.old, reader.new)
    if sign == "+":
        line = Line("add", rest, None, reader.new)
        reader.added += 1
    elif sign == "-":
        line = Line("del", rest, reader.old, None)
        reader.removed += 1
    if sign != "+":
        reader.old, reader.old_left = reader.old + 1, reader.old_left - 1
    if sign != "-":
        reader.new, reader.new_left = reader.new + 1, reader.new_left - 1
    return line
