"""Where two versions of a file differ: blocks of lines, and the functions around them."""

import ast
import difflib
from collections.abc import Iterator
from dataclasses import dataclass

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Block:
    """One changed block: 0-based half-open lines in the old and in the new text."""

    old: tuple[int, int]
    new: tuple[int, int]


def blocks(before: str, after: str) -> list[Block]:
    """The changed blocks of a file, in order."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    codes = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return [Block((a, b), (c, d)) for tag, a, b, c, d in codes if tag != "equal"]


def function_lines(text: str, lines: tuple[int, int]) -> tuple[str, int, int] | None:
    """Name, and 1-based first and last line, of the first outermost function that 0-based half-open `lines` of `text`
    touch; None outside functions, or when the text does not parse."""
    first, last = lines[0] + 1, max(lines[1], lines[0] + 1)
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    for function in _outermost(tree.body):
        end = function.end_lineno or function.lineno
        if function.lineno <= last and first <= end:
            return function.name, function.lineno, end
    return None


def _outermost(body: list[ast.stmt]) -> Iterator[Function]:
    for statement in body:
        if isinstance(statement, Function):
            yield statement
        else:
            for name in ("body", "orelse", "finalbody"):
                yield from _outermost(getattr(statement, name, []))
