"""Assignments: another operator, another starting value, another target; state that is not updated."""

import ast
import re
from collections.abc import Iterator

from assets.executions.tokenizer import similarity

from .base import Proposal, Site, on_statement


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


@on_statement
def reset_state(site: Site, node: ast.stmt) -> Iterator[Proposal | None]:
    """An attribute reset to its value from `__init__`, or updated, in a method that does neither."""
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
