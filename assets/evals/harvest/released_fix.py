"""The differences between two releases, in pieces that can be applied one by one.

A piece is identified by the lines of the earlier file that it replaces, so a case can name its fix without containing
any code. Not for tests, documentation or packaging: only Python source is compared.
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
    """Lines of a file of the earlier release that are replaced: from `start` to before `end`, counted from 0."""

    path: str
    start: int
    end: int


def pieces_between(before: Path, after: Path) -> dict[Piece, tuple[str, ...]]:
    """Each difference of the source files, with the later release's lines. A file that only the later release has is
    one piece at line 0; a file that only the earlier one has is left out."""
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
    """The content of each changed file after applying the pieces to the earlier release at `root`. Raises `KeyError`
    for a piece that is not in `between`."""
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
    """The size of the pieces in lines: of each, the larger of the lines it removes and those it adds, where added
    blank lines and comments do not count."""
    total = 0
    for piece in pieces:
        total += max(
            piece.end - piece.start, sum(1 for line in between[piece] if line.strip() and line.strip()[0] != "#")
        )
    return total


def unified(pieces: Sequence[Piece], between: dict[Piece, tuple[str, ...]], before: Path) -> str:
    """The pieces as a patch to the earlier release."""
    patch: list[str] = []
    for path, content in sorted(files_with(pieces, between, before).items()):
        old, new = _lines(before / path), _split(content)
        for line in difflib.unified_diff(old, new, f"a/{path}" if old else "/dev/null", f"b/{path}"):
            patch.append(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
    return "".join(patch)


def notes_between(before: Path, after: Path) -> str:
    """The lines that only the later release has in files that describe changes: changelog, history, readme."""
    notes: list[str] = []
    for name in files_of(after):
        if _NOTES.fullmatch(name.rpartition("/")[2]) and not is_released_test(name):
            known = set(_lines(before / name))
            notes += [line for line in _lines(after / name) if line.strip() and line not in known]
    return "".join(notes[:MAX_NOTES])


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
    return _split(path.read_bytes()) if path.is_file() and path.stat().st_size <= MAX_SOURCE else []


def _split(content: bytes) -> list[str]:
    """Lines that end at "\\n" alone: universal newlines would change the text, and str.splitlines also splits at form
    feeds."""
    lines = content.decode("utf-8", "surrogateescape").split("\n")
    return [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
