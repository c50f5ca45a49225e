"""What differs between two releases, in pieces that can be taken over one by one.

A piece is named by the lines of the earlier file that it replaces, so that a case can say what its fix is without
holding any of it. Not for tests, documentation or packaging: only Python source is compared.
"""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .released_tests import files_of, is_released_test

MAX_SOURCE = 2 << 20
MAX_NOTES = 200
_NOTES = re.compile(r"(change|history|news|release|readme)[^/]*\.?(md|rst|txt)?", re.IGNORECASE)
_PACKAGING = frozenset({"setup.py", "noxfile.py", "conftest.py", "tasks.py"})


@dataclass(frozen=True, order=True)
class Piece:
    """Lines `start` to `end` (from 0, `end` not included) of a file of the earlier release give way to others."""

    path: str
    start: int
    end: int


def pieces_between(before: Path, after: Path) -> dict[Piece, tuple[str, ...]]:
    """The differences of source files, with the later release's lines. A file that only one has is left out where
    it is the earlier one, and is one piece at its beginning otherwise."""
    found: dict[Piece, tuple[str, ...]] = {}
    for path in sorted(set(_sources(after))):
        old, new = _lines(before / path), _lines(after / path)
        if old == new:
            continue
        for tag, start, end, first, last in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
            if tag != "equal":
                found[Piece(path, start, end)] = tuple(new[first:last])
    return found


def files_with(pieces: Iterable[Piece], between: dict[Piece, tuple[str, ...]], root: Path) -> dict[str, bytes]:
    """The content of each file that pieces change, when applied to the earlier release. Raises `KeyError` for a piece
    that does not exist."""
    by_file: dict[str, list[Piece]] = {}
    for piece in pieces:
        by_file.setdefault(piece.path, []).append(piece)
    found = {}
    for path, chosen in by_file.items():
        lines = _lines(root / path)
        for piece in sorted(chosen, reverse=True):
            lines[piece.start : piece.end] = between[piece]
        found[path] = "".join(lines).encode("utf-8", "surrogateescape")
    return found


def changed_lines(pieces: Iterable[Piece], between: dict[Piece, tuple[str, ...]]) -> int:
    """Lines removed and added, blank lines and comments not counted."""
    total = 0
    for piece in pieces:
        total += max(
            piece.end - piece.start, sum(1 for line in between[piece] if line.strip() and line.strip()[0] != "#")
        )
    return total


def unified(pieces: Sequence[Piece], between: dict[Piece, tuple[str, ...]], before: Path) -> str:
    """The pieces as a patch to the earlier release."""
    said: list[str] = []
    for path in sorted({piece.path for piece in pieces}):
        old = _lines(before / path)
        new = list(old)
        for piece in sorted((one for one in pieces if one.path == path), reverse=True):
            new[piece.start : piece.end] = between[piece]
        for line in difflib.unified_diff(old, new, f"a/{path}" if old else "/dev/null", f"b/{path}"):
            said.append(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
    return "".join(said)


def notes_between(before: Path, after: Path) -> str:
    """What files that tell of changes (a changelog, a history, the readme) say more in the later release."""
    said: list[str] = []
    for name in files_of(after):
        if _NOTES.fullmatch(name.rpartition("/")[2]) and not is_released_test(name):
            known = set(_lines(before / name))
            said += [line for line in _lines(after / name) if line.strip() and line not in known]
    return "".join(said[:MAX_NOTES])


def _sources(root: Path) -> Iterable[str]:
    for name in files_of(root):
        first, last = name.partition("/")[0], name.rpartition("/")[2]
        if (
            last.endswith(".py")
            and not is_released_test(name)
            and last not in _PACKAGING
            and first not in ("doc", "docs")
        ):
            yield name


def _lines(path: Path) -> list[str]:
    if not path.is_file() or path.stat().st_size > MAX_SOURCE:
        return []
    # Not universal newlines, and not str.splitlines, which also ends lines at form feeds.
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    lines = text.split("\n")
    return [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
