"""Statements: deleted, moved, re-indented; jumps, loops and branches changed."""

import ast
from collections.abc import Iterator

from assets.executions.engines.search.source import Edit

from .base import Proposal, Site, on, on_statement

_COMPOUND = (ast.For, ast.While, ast.If, ast.With, ast.AsyncFor, ast.AsyncWith, ast.Try)


@on_statement
def delete(site: Site, node: ast.stmt) -> Iterator[Proposal | None]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom):
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    block = site.block_of(node)
    weight = 0.22 if isinstance(node, ast.Expr | ast.AugAssign | ast.Continue | ast.Break | ast.Delete) else 0.15
    if isinstance(node, ast.Return | ast.If):
        weight = 0.14
    edit = site.delete(node)
    if edit is not None and len(block) > 1:
        yield Proposal((edit,), "statement:delete", weight)
    elif len(block) == 1 and not isinstance(node, ast.Pass):
        yield site.replace(node, "pass", "statement:delete", weight * 0.7)


@on_statement
def jump(site: Site, node: ast.stmt) -> Iterator[Proposal]:
    swaps = {
        "break": (("continue", 0.6), ("return", 0.15), ("pass", 0.25)),
        "continue": (("break", 0.6), ("pass", 0.25), ("return", 0.1)),
        "pass": (("continue", 0.2), ("break", 0.2)),
    }
    if isinstance(node, ast.Break | ast.Continue | ast.Pass):
        for text, weight in swaps[site.code(node)]:
            yield site.replace(node, text, "statement:jump", weight)
    elif isinstance(node, ast.Return) and any(isinstance(around, ast.For | ast.While) for around in site.enclosing):
        yield site.replace(node, "break", "statement:jump", 0.15)
        yield site.replace(node, "continue", "statement:jump", 0.3)
    elif (
        isinstance(node, ast.Return) and node.value is not None and not isinstance(node.value, ast.Constant | ast.Name)
    ):
        pass


@on_statement
def swap_neighbours(site: Site, node: ast.stmt) -> Iterator[Proposal | None]:
    """A statement exchanged with the one after it."""
    block = site.block_of(node)
    position = next((i for i, item in enumerate(block) if item is node), -1)
    if position < 0 or position + 1 >= len(block):
        return
    for distance, weight in ((1, 0.35), (2, 0.15), (3, 0.08)):
        if position + distance >= len(block):
            return
        other = block[position + distance]
        if isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef) or isinstance(
            other, ast.FunctionDef | ast.ClassDef
        ):
            return
        edit = site.delete(node)
        if edit is None:
            return
        text = site.source.text[edit.start : edit.end]
        if not text.endswith("\n"):
            return
        after = site.delete(other)
        if after is None or not site.source.text[after.start : after.end].endswith("\n"):
            return
        # Moving down past the other statement(s).
        yield Proposal(
            (Edit(site.source.path, edit.start, after.end, site.source.text[edit.end : after.end] + text),),
            "statement:move",
            weight,
        )
        if distance > 1:
            moved = site.source.text[after.start : after.end]
            yield Proposal(
                (Edit(site.source.path, edit.start, after.end, moved + site.source.text[edit.start : after.start]),),
                "statement:move",
                weight,
            )


@on_statement
def indentation(site: Site, node: ast.stmt) -> Iterator[Proposal | None]:
    """A statement moved out of its block, or into the block before or after it."""
    parent = site.source.parents.get(node)
    block = site.block_of(node)
    edit = site.delete(node)
    if edit is None or isinstance(node, ast.FunctionDef | ast.ClassDef):
        return
    text = site.source.text[edit.start : edit.end]
    if not text.endswith("\n"):
        text += site.newline
    indent = site.source.indent(node)
    if isinstance(parent, _COMPOUND) and block[-1] is node and site.source.starts_line(parent):
        outer = site.source.indent(parent)
        shifted = _shift(text, indent, outer)
        last = parent.end_lineno or parent.lineno
        end = site.source.line_start(last + 1) if last < site.source.lines else len(site.source.text)
        weight = 0.6 if isinstance(node, ast.Return) else 0.45
        tail = site.source.text[edit.end : end]
        if not (isinstance(parent, ast.If) and parent.orelse and block is parent.body and tail.strip()):
            if len(block) > 1:
                yield Proposal((Edit(site.source.path, edit.start, end, tail + shifted),), "indent:out", weight)
            elif not tail.strip():
                yield Proposal(
                    (Edit(site.source.path, edit.start, end, f"{indent}pass{site.newline}" + tail + shifted),),
                    "indent:out",
                    weight * 0.3,
                )
        else:
            # The end of an `if` that has an `else`: moving out means after both.
            yield Proposal(
                (
                    Edit(
                        site.source.path,
                        edit.start,
                        end,
                        (tail if len(block) > 1 else f"{indent}pass{site.newline}" + tail) + shifted,
                    ),
                ),
                "indent:out",
                weight * 0.5,
            )
        grand = site.source.parents.get(parent)
        if (
            isinstance(grand, ast.For | ast.While)
            and len(block) >= 1
            and site.source.starts_line(grand)
            and isinstance(node, ast.Return)
        ):
            far = grand.end_lineno or grand.lineno
            end = site.source.line_start(far + 1) if far < site.source.lines else len(site.source.text)
            rest = site.source.text[edit.end : end]
            keep = "" if len(block) > 1 else f"{indent}pass{site.newline}"
            yield Proposal(
                (
                    Edit(
                        site.source.path, edit.start, end, keep + rest + _shift(text, indent, site.source.indent(grand))
                    ),
                ),
                "indent:out",
                0.3,
            )
    if (
        isinstance(parent, _COMPOUND)
        and block[0] is node
        and len(block) > 1
        and site.source.starts_line(parent)
        and block is getattr(parent, "body", None)
    ):
        outer = site.source.indent(parent)
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.Expr | ast.AugAssign):
            before = site.source.line_start(site.source.first_line(parent))
            yield Proposal(
                (
                    Edit(site.source.path, before, before, _shift(text, indent, outer)),
                    Edit(site.source.path, edit.start, edit.end, ""),
                ),
                "indent:hoist",
                0.5,
            )
    position = next((i for i, item in enumerate(block) if item is node), -1)
    if position > 0 and isinstance(block[position - 1], _COMPOUND):
        previous = block[position - 1]
        last_block = _last_block(previous)
        if last_block and site.source.starts_line(last_block[-1]):
            inner = site.source.indent(last_block[-1])
            if inner != indent:
                yield Proposal(
                    (Edit(site.source.path, edit.start, edit.end, _shift(text, indent, inner)),), "indent:in", 0.5
                )
    if 0 <= position < len(block) - 1 and isinstance(block[position + 1], ast.For | ast.While | ast.If | ast.With):
        following = block[position + 1]
        if (
            isinstance(following, ast.For | ast.While | ast.If | ast.With)
            and following.body
            and site.source.starts_line(following.body[0])
            and isinstance(node, ast.Assign | ast.AnnAssign | ast.Expr | ast.AugAssign)
        ):
            first = following.body[0]
            at = site.source.line_start(site.source.first_line(first))
            yield Proposal(
                (
                    Edit(site.source.path, edit.start, edit.end, ""),
                    Edit(site.source.path, at, at, _shift(text, indent, site.source.indent(first))),
                ),
                "indent:in",
                0.35,
            )


def _last_block(statement: ast.stmt) -> list[ast.stmt]:
    for name in ("finalbody", "orelse"):
        block = getattr(statement, name, None)
        if block:
            if name == "orelse" and isinstance(statement, ast.If) and len(block) == 1 and isinstance(block[0], ast.If):
                return _last_block(block[0])
            return list(block)
    return list(getattr(statement, "body", []))


def _shift(text: str, old: str, new: str) -> str:
    return "".join(new + line.removeprefix(old) if line.strip() else line for line in text.splitlines(keepends=True))


@on(ast.For)
def loop_source(site: Site, node: ast.For) -> Iterator[Proposal]:
    """What a loop runs over: a copy, another order, a part, or pairs."""
    text = site.code(node.iter)
    for pattern, operator, weight in (
        ("list({})", "wrap:list", 0.4),
        ("sorted({})", "sort:wrap", 0.25),
        ("reversed({})", "order:reverse", 0.25),
        ("set({})", "wrap:set", 0.08),
    ):
        yield site.replace(node.iter, pattern.format(text), operator, weight)
    bare = site.bare(node.iter)
    for suffix, operator, weight in (
        ("[1:]", "slice:bounds", 0.3),
        ("[:-1]", "slice:bounds", 0.25),
        ("[::-1]", "order:reverse", 0.2),
        (".items()", "wrap:items", 0.15),
        (".values()", "wrap:items", 0.15),
        (" or []", "guard:none", 0.2),
        (".copy()", "copy:call", 0.1),
    ):
        yield site.replace(node.iter, f"{bare}{suffix}", operator, weight)
    if (
        isinstance(node.iter, ast.Call)
        and isinstance(node.iter.func, ast.Name)
        and node.iter.func.id == "reversed"
        and node.iter.args
    ):
        yield site.replace(node.iter, site.code(node.iter.args[0]), "order:reverse", 0.4)


@on(ast.While)
def loop_kind(site: Site, node: ast.While) -> Iterator[Proposal]:
    """`while` made `if`, for a loop that should run once; `branch_kind` does the opposite."""
    start = site.source.span(node)[0]
    yield site.span(start, start + 5, "if", "statement:loop", 0.1)


@on(ast.If)
def branch_kind(site: Site, node: ast.If) -> Iterator[Proposal | None]:
    """`if` made `while`, `elif` made `if` and the other way round, branches exchanged."""
    start = site.source.span(node)[0]
    word = "elif" if site.source.text.startswith("elif", start) else "if"
    parent = site.source.parents.get(node)
    if word == "if":
        if not node.orelse and not any(isinstance(n, ast.Return | ast.Raise) for n in node.body):
            yield site.span(start, start + 2, "while", "statement:loop", 0.3)
        block = site.block_of(node)
        position = next((i for i, item in enumerate(block) if item is node), 0)
        previous = block[position - 1]
        if position > 0 and isinstance(previous, ast.If) and not _has_else(previous):
            yield site.span(start, start + 2, "elif", "statement:elif", 0.5)
    elif isinstance(parent, ast.If):
        yield site.span(start, start + 4, "if", "statement:elif", 0.45)
    if (
        node.orelse
        and not (len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If))
        and len(node.body) == len(node.orelse) == 1
    ):
        one, other = node.body[0], node.orelse[0]
        start, end = site.source.span(one)[0], site.source.span(other)[1]
        if site.source.starts_line(one) and site.source.starts_line(other):
            middle = site.source.text[site.source.span(one)[1] : site.source.span(other)[0]]
            yield site.span(start, end, f"{site.code(other)}{middle}{site.code(one)}", "boolean:branches", 0.3)
    if node.orelse and len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If):
        # Two branches of a chain with each other's body, or in the wrong order.
        if len(node.body) == len(node.orelse[0].body) == 1:
            bodies = (
                Edit(site.source.path, *site.source.span(node.body[0]), site.code(node.orelse[0].body[0])),
                Edit(site.source.path, *site.source.span(node.orelse[0].body[0]), site.code(node.body[0])),
            )
            yield Proposal(bodies, "boolean:branches", 0.4)
        following = node.orelse[0]
        body = site.source.text[site.source.span(node.body[0])[0] : site.source.span(node.body[-1])[1]]
        other_body = site.source.text[site.source.span(following.body[0])[0] : site.source.span(following.body[-1])[1]]
        yield Proposal(
            (
                Edit(site.source.path, *site.source.span(node.test), site.code(following.test)),
                Edit(
                    site.source.path, site.source.span(node.body[0])[0], site.source.span(node.body[-1])[1], other_body
                ),
                Edit(site.source.path, *site.source.span(following.test), site.code(node.test)),
                Edit(
                    site.source.path,
                    site.source.span(following.body[0])[0],
                    site.source.span(following.body[-1])[1],
                    body,
                ),
            ),
            "order:branches",
            0.4,
        )
    block = site.block_of(node)
    position = next((i for i, item in enumerate(block) if item is node), -1)
    after = block[position + 1] if 0 <= position < len(block) - 1 else None
    if isinstance(after, ast.If):
        first, second = site.delete(node), site.delete(after)
        if first is not None and second is not None and site.source.text[second.start : second.end].endswith("\n"):
            text = site.source.text
            moved = text[second.start : second.end] + text[first.end : second.start] + text[first.start : first.end]
            yield Proposal((Edit(site.source.path, first.start, second.end, moved),), "order:branches", 0.4)


def _has_else(node: ast.If) -> bool:
    while len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If):
        node = node.orelse[0]
    return bool(node.orelse)
