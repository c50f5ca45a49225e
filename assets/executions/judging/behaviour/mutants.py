"""Mutants of the lines that a patch changes: the target tests must notice at least one for each changed block.

A mutant differs from the patched program by one small change inside the changed text.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from .spans import Block, blocks, reverted

_OF_BLOCK = 6
_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==",
    ast.In: "not in", ast.NotIn: "in", ast.Is: "is not", ast.IsNot: "is",
}  # fmt: skip
_OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "-", ast.Sub: "+", ast.Mult: "+", ast.Div: "*", ast.FloorDiv: "*", ast.Mod: "+",
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """`text` is the whole file; `what` completes "with …"; `block` is the number of the changed block. `revert` marks
    the block as it was before the patch."""

    path: str
    block: int
    text: str
    what: str
    revert: bool = False


def mutants(path: str, before: str, after: str) -> list[Mutant]:
    """Mutants of each changed block, at most 6 for one; with several blocks, each is also reverted alone. Empty for a
    file that does not parse."""
    try:
        tree = ast.parse(after)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    found: list[Mutant] = []
    changed = blocks(before, after)
    for number, block in enumerate(changed[:8]):
        if len(changed) > 1:
            found.append(Mutant(path, number, reverted(before, after, block), "the block reverted", revert=True))
        texts = {after, before}
        for start, end, text, what in _edits(tree, after, block):
            mutated = after[:start] + text + after[end:]
            if mutated not in texts and len(texts) < _OF_BLOCK + 2 and _parses(mutated):
                texts.add(mutated)
                found.append(Mutant(path, number, mutated, what))
    return found


def _edits(tree: ast.Module, text: str, block: Block) -> Iterator[tuple[int, int, str, str]]:
    """(start, end, new text, description), those nearest to the changed characters first."""
    lines = text.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))

    def span(node: ast.expr | ast.stmt) -> tuple[int, int]:
        def offset(line: int, column: int) -> int:
            row = lines[line - 1]
            return starts[line - 1] + (column if row.isascii() else len(row.encode()[:column].decode(errors="ignore")))

        return offset(node.lineno, node.col_offset), offset(node.end_lineno or 0, node.end_col_offset or 0)

    near: list[tuple[int, int, ast.expr | ast.stmt]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.expr | ast.stmt):
            start, end = span(node)
            if start < max(block.end, block.start + 1) and block.start < end:
                outside = max(0, block.start - start) + max(0, end - block.end)
                near.append((outside, start, node))
    near.sort(key=lambda entry: entry[:2])
    for outside, _, node in near:
        if outside > 3 * (block.end - block.start) + 60:
            return
        start, end = span(node)
        for replacement, what in _changes(node, text, span):
            yield start, end, replacement, what


def _changes(node: ast.expr | ast.stmt, text: str, span: object) -> Iterator[tuple[str, str]]:
    def code(part: ast.expr | ast.stmt) -> str:
        start, end = span(part)  # type: ignore[operator]
        return text[start:end]

    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        left, right = code(node.left), code(node.comparators[0])
        yield f"({left} {_COMPARISONS[type(node.ops[0])]} {right})", f"{code(node)!r} compared in another way"
        yield f"(not ({code(node)}))", f"{code(node)!r} negated"
    elif isinstance(node, ast.BoolOp):
        word = " or " if isinstance(node.op, ast.And) else " and "
        yield f"({word.join(f'({code(v)})' for v in node.values)})", f"{code(node)!r} joined by {word.strip()!r}"
        yield f"({code(node.values[0])})", f"only {code(node.values[0])!r}"
    elif isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        yield f"({code(node.left)} {_OPERATORS[type(node.op)]} {code(node.right)})", f"another operator in {code(node)!r}"
    elif isinstance(node, ast.UnaryOp):
        yield f"({code(node.operand)})", f"{code(node.operand)!r} in place of {code(node)!r}"
    elif isinstance(node, ast.Constant):
        yield from _constants(node, code(node))
    elif isinstance(node, ast.Call):
        if len(node.args) == 1 and not node.keywords and not isinstance(node.args[0], ast.Starred):
            yield f"({code(node.args[0])})", f"{code(node)!r} without the call"
        elif isinstance(node.func, ast.Attribute):
            yield f"({code(node.func.value)})", f"{code(node)!r} without the call"
    elif isinstance(node, ast.IfExp):
        yield f"({code(node.body)})", f"always {code(node.body)!r}"
        yield f"({code(node.orelse)})", f"always {code(node.orelse)!r}"
    elif isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Load):
        yield f"({code(node.value)})", f"{code(node.value)!r} in place of {code(node)!r}"
    elif isinstance(node, ast.If | ast.While):
        yield code(node).replace(code(node.test), f"not ({code(node.test)})", 1), f"{code(node.test)!r} negated"
    elif isinstance(node, ast.Return) and node.value is not None:
        yield "return None", f"`return None` in place of {code(node)[:60]!r}"
    elif isinstance(node, ast.Expr | ast.Assign | ast.AugAssign | ast.Raise | ast.Continue | ast.Break | ast.Return):
        yield "pass", f"{code(node)[:60]!r} removed"


def _constants(node: ast.Constant, code: str) -> Iterator[tuple[str, str]]:
    value = node.value
    if isinstance(value, bool):
        yield str(not value), f"{not value} in place of {value}"
    elif isinstance(value, int | float):
        yield f"({code} + 1)", f"{code} + 1 in place of {code}"
    elif isinstance(value, str) and code[:1] in "\"'":
        yield f"({code} + 'x')" if value else "'x'", f"another text in place of {code[:60]}"
    elif value is None:
        yield "0", "0 in place of None"


def _parses(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
