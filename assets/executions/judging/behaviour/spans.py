"""Where two versions of a file differ: blocks of lines, and the functions around them."""

import ast
import difflib
from collections.abc import Iterator
from dataclasses import dataclass

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Block:
    """One changed block. Lines are 0-based and half-open; `start` and `end` are the characters of the new text that
    differ, without the common beginning and end of the block."""

    old: tuple[int, int]
    new: tuple[int, int]
    start: int
    end: int


def blocks(before: str, after: str) -> list[Block]:
    """The changed blocks of a file, in order."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    starts = [0]
    for line in new:
        starts.append(starts[-1] + len(line))
    found = []
    for tag, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        was, now = "".join(old[a:b]), "".join(new[c:d])
        head = 0
        while head < min(len(was), len(now)) and was[head] == now[head]:
            head += 1
        tail = 0
        while tail < min(len(was), len(now)) - head and was[-1 - tail] == now[-1 - tail]:
            tail += 1
        found.append(Block((a, b), (c, d), starts[c] + head, starts[d] - tail))
    return found


def reverted(before: str, after: str, block: Block) -> str:
    """The new text with one block as it was before."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    return "".join([*new[: block.new[0]], *old[slice(*block.old)], *new[block.new[1] :]])


def function_lines(text: str, lines: tuple[int, int]) -> tuple[int, int]:
    """The 1-based first and last line of the outermost functions around 0-based half-open `lines`, or those lines
    themselves outside functions. The whole file when it does not parse."""
    first, last = lines[0] + 1, max(lines[1], lines[0] + 1)
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return 1, text.count("\n") + 1
    for function in _outermost(tree.body):
        end = function.end_lineno or function.lineno
        if function.lineno <= last and first <= end:
            first, last = min(first, function.lineno), max(last, end)
    return first, last


def _outermost(body: list[ast.stmt]) -> Iterator[Function]:
    for statement in body:
        if isinstance(statement, Function):
            yield statement
        else:
            for name in ("body", "orelse", "finalbody"):
                yield from _outermost(getattr(statement, name, []))
