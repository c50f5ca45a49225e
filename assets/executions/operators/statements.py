"""Statements: deleted, moved, indented otherwise, copied from elsewhere, assigned otherwise, returned."""

import ast
import re
from collections.abc import Iterator

from ..source import Edit
from ..words import similarity
from .base import BUILTINS, Proposal, Site, on, on_statement

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
            # The end of an `if` that has an `else`: out means behind both.
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


@on_statement
def assignment_form(site: Site, node: ast.stmt) -> Iterator[Proposal]:
    """`=` and `+=` exchanged, augmented operators changed."""
    if isinstance(node, ast.AugAssign):
        start, end = site.source.span(node.target)[1], site.source.span(node.value)[0]
        token = re.search(r"\S+=", site.source.text[start:end])
        if token is None:
            return
        at = start + token.start()
        for other, weight in (
            ("+=", 0.5),
            ("-=", 0.5),
            ("*=", 0.3),
            ("/=", 0.2),
            ("//=", 0.2),
            ("|=", 0.2),
            ("&=", 0.2),
            ("=", 0.35),
        ):
            if other != token[0]:
                yield site.span(at, at + len(token[0]), other, "augment:operator", weight)
        if isinstance(node.op, ast.Add) and not isinstance(node.value, ast.Constant):
            yield site.replace(node.value, f"[{site.code(node.value)}]", "augment:wrap", 0.1)
    elif (
        isinstance(node, ast.Assign)
        and len(node.targets) == 1
        and isinstance(node.targets[0], ast.Name | ast.Attribute | ast.Subscript)
    ):
        start, end = site.source.span(node.targets[0])[1], site.source.span(node.value)[0]
        text = site.source.text[start:end]
        at = start + text.index("=")
        looped = any(isinstance(around, ast.For | ast.While) for around in site.enclosing)
        held = isinstance(node.targets[0], ast.Attribute | ast.Subscript)
        weight = 0.45 if looped or held else 0.08
        if isinstance(node.value, ast.Name | ast.Constant):
            weight *= 0.6 if held or isinstance(node.value, ast.Constant) else 0.25
        for other, factor in (("+=", 1.0), ("-=", 0.6), ("|=", 0.15), ("*=", 0.2)):
            yield site.span(at, at + 1, other, "augment:assign", weight * factor)
        target = site.code(node.targets[0])
        value = site.code(node.value)
        if looped or held:
            for function, factor in (("max", 0.5), ("min", 0.5)):
                yield site.replace(node.value, f"{function}({target}, {value})", "augment:extreme", 0.35 * factor)
        if isinstance(node.targets[0], ast.Subscript):
            base = site.code(node.targets[0].value)
            key = site.code(node.targets[0].slice)
            yield site.replace(node, f"{base}.setdefault({key}, {value})", "lookup:setdefault", 0.15)
            if isinstance(node.value, ast.BinOp):
                yield site.replace(node.value, value.replace(target, f"{base}.get({key}, 0)", 1), "lookup:get", 0.3)
            yield site.replace(node, f"{base}.setdefault({key}, []).append({value})", "lookup:setdefault", 0.12)
            yield site.replace(node.value, f"{base}.get({key}, 0) + {value}", "augment:assign", 0.25)


@on_statement
def initial_value(site: Site, node: ast.stmt) -> Iterator[Proposal]:
    """Another starting value."""
    if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
        return
    value = node.value
    text = site.code(value)
    if isinstance(value, ast.Constant) or text in (
        "[]",
        "{}",
        "()",
        "set()",
        "dict()",
        "list()",
        'float("inf")',
        "float('inf')",
    ):
        options = [
            "0",
            "1",
            "None",
            '""',
            "[]",
            "{}",
            "set()",
            "True",
            "False",
            'float("inf")',
            '-float("inf")',
            "-1",
            "()",
        ]
        for other in options:
            if other != text:
                yield site.replace(value, other, "statement:initial", 0.18)
    target = node.targets[0] if isinstance(node, ast.Assign) else node.target
    if isinstance(target, ast.Name | ast.Attribute):
        for name in site.visible(value)[:10]:
            if name != text and name != site.code(target):
                yield site.replace(
                    value, f"{name}[0]", "statement:initial", 0.1 if isinstance(value, ast.Constant) else 0.02
                )
        name = target.attr if isinstance(target, ast.Attribute) else target.id
        if name.lstrip("_") in site.parameters and text != name.lstrip("_"):
            yield site.replace(value, name.lstrip("_"), "statement:initial", 0.55)


@on_statement
def assignment_target(site: Site, node: ast.stmt) -> Iterator[Proposal]:
    """Another variable or attribute assigned; a local where the attribute is meant."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AugAssign) else []
    for target in targets:
        if isinstance(target, ast.Name):
            if site.self_name:
                for field in site.fields:
                    alike = similarity(target.id, field.lstrip("_"))
                    if alike > 0.5:
                        yield site.replace(target, f"{site.self_name}.{field}", "name:target", 0.55 * alike)
            for name in [*site.locals, *site.parameters][:10]:
                if name != target.id:
                    yield site.replace(target, name, "name:target", 0.25 * site.closeness(target.id, name))
            if target.id in site.globals and site.function is not None:
                yield from _declare(site, "global", target.id)
            for outer in _outer_locals(site):
                if outer == target.id:
                    yield from _declare(site, "nonlocal", target.id)
        elif isinstance(target, ast.Tuple) and len(target.elts) == 2:
            one, other = (site.code(e) for e in target.elts)
            yield site.replace(target, f"{other}, {one}", "order:elements", 0.3)


def _outer_locals(site: Site) -> set[str]:
    outer = site.source.function_of(site.function) if site.function is not None else None
    if outer is None:
        return set()
    found = {a.arg for a in outer.args.args}
    return found | {
        n.id
        for n in ast.walk(outer)
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store) and site.source.function_of(n) is outer
    }


def _declare(site: Site, word: str, name: str) -> Iterator[Proposal]:
    if site.function is None:
        return
    body = site.function.body
    first = (
        body[1]
        if len(body) > 1 and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
        else body[0]
    )
    if f"{word} {name}" not in site.code(site.function):
        made = site.before(first, [f"{word} {name}"], "statement:declare", 0.5)
        if made is not None:
            yield made


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
    """A check made once that must be repeated is the `if` operator's; here: a loop that should run once."""
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


@on_statement
def return_it(site: Site, node: ast.stmt) -> Iterator[Proposal | None]:
    """A missing `return`: of an expression, of the recursive call, of the variable that was built."""
    if site.function is None:
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        called = node.value.func
        name = called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""
        own = name == site.function.name
        start = site.source.span(node)[0]
        yield site.span(start, start, "return ", "return:add", 0.7 if own else 0.3)
        if name in ("sort", "reverse", "append", "extend", "update", "add") and isinstance(called, ast.Attribute):
            made = site.after(node, [f"return {site.code(called.value)}"], "return:add", 0.3)
            yield made
        if name in (
            "sorted",
            "reversed",
            "strip",
            "lower",
            "upper",
            "replace",
            "rstrip",
            "lstrip",
            "title",
            "union",
            "difference",
            "intersection",
            "removeprefix",
            "removesuffix",
        ):
            receiver = (
                site.code(called.value)
                if isinstance(called, ast.Attribute)
                else site.code(node.value.args[0])
                if node.value.args
                else ""
            )
            if receiver.replace(".", "").replace("_", "").isalnum():
                yield site.span(start, start, f"{receiver} = ", "statement:assign", 0.7)
        for variable in [*site.locals, *site.parameters][:5]:
            yield site.span(start, start, f"{variable} = ", "statement:assign", 0.12)
            yield site.span(start, start, f"{variable} += ", "statement:assign", 0.08)
    if (
        isinstance(node, ast.Assign | ast.AugAssign | ast.For | ast.While | ast.If | ast.With | ast.Expr | ast.Try)
        and site.function.body[-1] is node
    ):
        names = [n for n in site.locals if not n.startswith("_")]
        for name in reversed(names[:6]):
            yield site.after(node, [f"return {name}"], "return:add", 0.45)
        for one in names[:4]:
            for other in names[:4]:
                if one != other:
                    yield site.after(node, [f"return {one}, {other}"], "return:add", 0.15)
        for name in site.parameters[:3]:
            yield site.after(node, [f"return {name}"], "return:add", 0.15)
        if site.self_name:
            yield site.after(node, [f"return {site.self_name}"], "return:add", 0.15)
            for field in site.fields[:8]:
                yield site.after(node, [f"return {site.self_name}.{field}"], "return:add", 0.12)
        for text in ("True", "False", "0", "[]"):
            yield site.after(node, [f"return {text}"], "return:add", 0.1)


@on_statement
def without_effect(site: Site, node: ast.stmt) -> Iterator[Proposal]:
    """An expression whose value goes nowhere: an assignment, a call or a `return` was meant."""
    if not isinstance(node, ast.Expr):
        return
    value = node.value
    if isinstance(value, ast.BinOp) and isinstance(value.left, ast.Name | ast.Attribute | ast.Subscript):
        start, end = site.between(value.left, value.right)
        target, token = site.code(value.left), site.source.text[start:end]
        yield site.replace(node, f"{target} {token}= {site.code(value.right)}", "statement:effect", 0.9)
        yield site.replace(node, f"{target} = {site.code(value)}", "statement:effect", 0.7)
        yield site.replace(node, f"return {site.code(value)}", "return:add", 0.5)
    elif isinstance(value, ast.Compare) and len(value.ops) == 1 and isinstance(value.ops[0], ast.Eq):
        yield site.span(*site.between(value.left, value.comparators[0]), "=", "statement:effect", 0.9)
    elif isinstance(value, ast.Attribute | ast.Name):
        yield site.replace(node, f"{site.code(value)}()", "statement:effect", 0.9)
        yield site.replace(node, f"return {site.code(value)}", "return:add", 0.7)
    elif isinstance(value, ast.Compare | ast.BoolOp | ast.IfExp | ast.ListComp | ast.Subscript | ast.Tuple):
        yield site.replace(node, f"return {site.code(value)}", "return:add", 0.7)


@on_statement
def initialise(site: Site, node: ast.stmt) -> Iterator[Proposal | None]:
    """A variable given a value before a block that may not assign it; an attribute reset or updated."""
    if site.function is None:
        return
    for name in sorted(site.symptoms.unknown_names & set(site.locals)):
        for value in ("None", "0", "[]", '""', "{}", "False"):
            yield site.before(node, [f"{name} = {value}"], "statement:initialise", 0.4)


def _simple(node: ast.stmt) -> bool:
    return isinstance(
        node, ast.Assign | ast.AugAssign | ast.Expr | ast.Return | ast.Raise | ast.Delete | ast.AnnAssign
    ) and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


@on_statement
def copy_from_elsewhere(site: Site, node: ast.stmt) -> Iterator[Proposal | None]:
    """A statement that stands elsewhere in the class or file, inserted here (the plastic surgery hypothesis:
    Barr et al. 2014), with a variable renamed where one name is unknown here."""
    if site.function is None or isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom):
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    visible = set(site.visible(node)) | set(site.locals) | set(site.globals) | BUILTINS
    if site.self_name:
        visible.add(site.self_name)
    block = site.block_of(node)
    last = block[-1] is node and not isinstance(node, ast.Return | ast.Raise | ast.Continue | ast.Break)
    seen: set[str] = set()
    count = 0
    for where, factor in ((site.function, 0.9), (site.owner, 1.0), (site.source.tree, 0.5)):
        if where is None:
            continue
        for donor in site.source.walk(where):
            if not isinstance(donor, ast.stmt) or not _donates(site, donor) or count > 60:
                continue
            text = site.code(donor)
            if text in seen or ("\n" in text and not isinstance(donor, ast.If)) or len(text) > 160 or donor is node:
                continue
            seen.add(text)
            free = {n.id for n in ast.walk(donor) if isinstance(n, ast.Name)}
            unknown = free - visible
            variants = [text] if not unknown else []
            if len(unknown) == 1:
                (name,) = unknown
                for other in [n for n in site.visible(node) if n not in free][:4]:
                    variants.append(re.sub(rf"\b{re.escape(name)}\b", other, text))
            lines_indent = site.source.indent(donor)
            for variant in variants:
                count += 1
                lines = [line.removeprefix(lines_indent) for line in variant.split("\n")]
                weight = (
                    0.14
                    * factor
                    * (1.3 if isinstance(donor, ast.AugAssign | ast.Assign) and "self." in variant else 1.0)
                )
                weight *= 1.25 if _related(site, variant) else 1.0
                if isinstance(donor, ast.If):
                    weight *= 1.3
                yield site.before(node, lines, "statement:copy", weight)
                if last:
                    yield site.after(node, lines, "statement:copy", weight)


@on_statement
def mirrored_copy(site: Site, node: ast.stmt) -> Iterator[Proposal | None]:
    """A statement repeated right after itself for the other one of a pair: `left`/`right`, `i`/`j`."""
    if site.function is None or not _simple(node) or isinstance(node, ast.Return | ast.Raise):
        return
    text = site.code(node)
    if "\n" in text:
        return
    used = list(dict.fromkeys(n.id for n in site.source.own_nodes(node) if isinstance(n, ast.Name)))
    others = [n for n in (*site.parameters, *site.locals) if n not in used][:8]
    swappable = [n for n in used if n in site.parameters or n in site.locals]
    made: list[tuple[str, float]] = []
    for one in swappable:
        for other in others:
            once = re.sub(rf"\b{re.escape(one)}\b", other, text)
            made.append((once, 0.16))
            for second in swappable:
                for further in others:
                    if second > one and further != other:
                        made.append((re.sub(rf"\b{re.escape(second)}\b", further, once), 0.14))
    for variant, weight in made[:80]:
        yield site.after(node, [variant], "statement:mirror", weight)


def _donates(site: Site, donor: ast.stmt) -> bool:
    if _simple(donor):
        return site.source.function_of(donor) is not None
    # Small guards: an `if` whose body only leaves.
    return (
        isinstance(donor, ast.If)
        and not donor.orelse
        and len(donor.body) == 1
        and isinstance(donor.body[0], ast.Return | ast.Raise | ast.Continue)
    )


def _related(site: Site, text: str) -> bool:
    return any(name in text for name in site.symptoms.names if len(name) > 3 and name not in BUILTINS)


@on_statement
def reset_state(site: Site, node: ast.stmt) -> Iterator[Proposal | None]:
    """An attribute brought back to what `__init__` gives it, or moved on, in a method that forgets to."""
    if site.self_name is None or site.owner is None or site.function is None or site.function.name == "__init__":
        return
    block = site.block_of(node)
    last = block[-1] is node and not isinstance(node, ast.Return | ast.Raise | ast.Continue | ast.Break)
    for item in site.owner.body:
        if not (isinstance(item, ast.FunctionDef) and item.name == "__init__"):
            continue
        for statement in item.body:
            target = (
                statement.targets[0]
                if isinstance(statement, ast.Assign)
                else statement.target
                if isinstance(statement, ast.AnnAssign)
                else None
            )
            value = getattr(statement, "value", None)
            if not isinstance(target, ast.Attribute) or value is None:
                continue
            name = site.code(target)
            options: list[tuple[str, float]] = []
            if isinstance(value, ast.Constant | ast.List | ast.Dict) or (
                isinstance(value, ast.Call) and not value.args
            ):
                options.append((f"{name} = {site.code(value)}", 0.22))
            if isinstance(value, ast.Constant) and isinstance(value.value, int) and not isinstance(value.value, bool):
                options += [(f"{name} += 1", 0.22), (f"{name} -= 1", 0.1)]
            if isinstance(value, ast.Constant) and isinstance(value.value, bool):
                options.append((f"{name} = {not value.value}", 0.2))
            if isinstance(value, ast.List | ast.Dict) or (
                isinstance(value, ast.Call) and site.code(value) in ("set()", "dict()", "list()", "OrderedDict()")
            ):
                options.append((f"{name}.clear()", 0.18))
            for parameter in site.parameters[:3]:
                options.append(
                    (f"{name} = {parameter}", 0.12 + 0.3 * (similarity(target.attr.lstrip("_"), parameter) > 0.6))
                )
                if isinstance(value, ast.List):
                    options.append((f"{name}.append({parameter})", 0.12))
                elif isinstance(value, ast.Dict):
                    options.append((f"{name}.pop({parameter}, None)", 0.14))
                elif isinstance(value, ast.Call) and site.code(value) == "set()":
                    options.append((f"{name}.add({parameter})", 0.14))
                    options.append((f"{name}.discard({parameter})", 0.1))
                if site.code(value).split("(")[0].endswith("OrderedDict"):
                    options += [(f"{name}.move_to_end({parameter})", 0.3), (f"{name}.popitem(last=False)", 0.05)]
                if (
                    isinstance(value, ast.Constant)
                    and isinstance(value.value, int | float)
                    and not isinstance(value.value, bool)
                ):
                    options += [(f"{name} += {parameter}", 0.2), (f"{name} -= {parameter}", 0.15)]
            for text, weight in options:
                yield site.before(node, [text], "statement:state", weight)
                if last:
                    yield site.after(node, [text], "statement:state", weight)


@on_statement
def add_else(site: Site, node: ast.stmt) -> Iterator[Proposal | None]:
    """A missing `else`, and the value that a loop should leave when it never breaks."""
    if site.function is None or not isinstance(node, ast.If) or node.orelse or not site.source.starts_line(node):
        return
    for text in ("continue", "break"):
        if any(isinstance(around, ast.For | ast.While) for around in site.enclosing):
            yield site.after(node, ["else:", f"    {text}"], "statement:else", 0.15)
    for inner in node.body:
        if isinstance(inner, ast.Assign) and isinstance(inner.targets[0], ast.Name | ast.Attribute | ast.Subscript):
            target = site.code(inner.targets[0])
            for value in ("None", "0", "1", "[]", '""', "False", *site.visible(node)[:4]):
                if value != target:
                    yield site.after(node, ["else:", f"    {target} = {value}"], "statement:else", 0.15)
        elif isinstance(inner, ast.AugAssign):
            yield site.after(node, ["else:", f"    {site.code(inner).replace('+=', '-=')}"], "statement:else", 0.06)
