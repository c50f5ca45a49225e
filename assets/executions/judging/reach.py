"""Which code a diff changes, as places in the unchanged program that run before or instead of it."""

import ast
import re
from collections.abc import Mapping

from core.patch_paths import changed_paths

_HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+\d+(?:,\d+)? @@")


def touched_lines(diff: str) -> list[int]:
    """The lines of the old file that one file's diff removes, and those on both sides of what it adds; 1-based."""
    found: dict[int, None] = {}
    at = 0
    inside = False
    for line in diff.split("\n"):
        if hunk := _HUNK.match(line):
            at, inside = int(hunk[1]), True
        elif inside and line[:1] == "-":
            found[at] = None
            at += 1
        elif inside and line[:1] == "+":
            found.update(dict.fromkeys((max(1, at - 1), at)))
        elif inside and line[:1] == " ":
            at += 1
    return sorted(found)


def changed_places(before: Mapping[str, str | None], diff: str) -> frozenset[tuple[str, int]]:
    """(path, line) of every statement whose execution leads to code that the diff changes: the statements of the
    innermost function around a changed line, else the line itself. Only for files in `before`, their old texts."""
    places: set[tuple[str, int]] = set()
    for piece in re.split(r"(?=^diff --git )", diff, flags=re.MULTILINE):
        for path in changed_paths(piece):
            if (text := before.get(path)) is not None:
                places |= {(path, line) for line in _leading(text, touched_lines(piece))}
    return frozenset(places)


def _leading(text: str, lines: list[int]) -> set[int]:
    try:
        tree = ast.parse(text.removeprefix("\ufeff"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set(lines)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    found: set[int] = set()
    for line in lines:
        around = [f for f in functions if f.body[0].lineno <= line <= (f.end_lineno or 0)]
        if not around:
            found.add(line)
            continue
        inner = max(around, key=lambda f: f.lineno)
        found |= {s.lineno for s in ast.walk(inner) if isinstance(s, ast.stmt) and s is not inner}
    return found
