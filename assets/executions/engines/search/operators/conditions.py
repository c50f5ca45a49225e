"""Comparisons and boolean conditions: operator swaps, negation, dropped and added parts."""

import ast
from collections.abc import Iterator

from .base import Proposal, Site, on, on_statement
from .kinds import LIST, MAPPING, NUMBER, SET, TEXT, TRUTH

_TOKENS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
    ast.Is: "is", ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in",
}  # fmt: skip
_SWAPS: dict[str, tuple[tuple[str, float], ...]] = {
    "<": (("<=", 0.9), (">", 0.5), (">=", 0.4), ("!=", 0.12), ("==", 0.08)),
    "<=": (("<", 0.9), (">=", 0.5), (">", 0.4), ("==", 0.1)),
    ">": ((">=", 0.9), ("<", 0.5), ("<=", 0.4), ("!=", 0.12), ("==", 0.08)),
    ">=": ((">", 0.9), ("<=", 0.5), ("<", 0.4), ("==", 0.1)),
    "==": (("!=", 0.6), ("<=", 0.3), (">=", 0.3), ("is", 0.15), ("in", 0.2), ("<", 0.1), (">", 0.1)),
    "!=": (("==", 0.6), ("is not", 0.2), ("<", 0.15), (">", 0.15), ("not in", 0.15)),
    "is": (("==", 0.7), ("is not", 0.6)),
    "is not": (("!=", 0.7), ("is", 0.6)),
    "in": (("not in", 0.6), ("==", 0.35)),
    "not in": (("in", 0.6), ("!=", 0.3)),
}


@on(ast.Compare)
def comparison_operator(site: Site, node: ast.Compare) -> Iterator[Proposal]:
    left: ast.expr = node.left
    for operator, right in zip(node.ops, node.comparators, strict=True):
        start, end = site.between(left, right)
        token = _TOKENS[type(operator)]
        for other, weight in _SWAPS[token]:
            yield site.span(start, end, other, "compare:operator", weight)
        left = right


@on(ast.Compare)
def comparison_sides(site: Site, node: ast.Compare) -> Iterator[Proposal]:
    """`x == None` style fixes, chained bounds made whole or cut, and compared operands exchanged."""
    if len(node.ops) == 1 and isinstance(node.ops[0], ast.In | ast.NotIn):
        yield site.replace(
            node,
            f"{site.bare(node.comparators[0])} {_TOKENS[type(node.ops[0])]} {site.bare(node.left)}",
            "compare:sides",
            0.2,
        )
    if len(node.ops) == 2:
        middle = node.comparators[0]
        first = f"{site.code(node.left)} {_TOKENS[type(node.ops[0])]} {site.code(middle)}"
        second = f"{site.code(middle)} {_TOKENS[type(node.ops[1])]} {site.code(node.comparators[1])}"
        yield site.replace(node, first, "compare:chain", 0.2)
        yield site.replace(node, second, "compare:chain", 0.2)
        for a, b in (("<=", "<"), ("<", "<="), ("<=", "<="), ("<", "<")):
            text = f"{site.code(node.left)} {a} {site.code(middle)} {b} {site.code(node.comparators[1])}"
            if text != site.code(node):
                yield site.replace(node, text, "compare:chain", 0.3)


@on(ast.Compare)
def truth_for_none(site: Site, node: ast.Compare) -> Iterator[Proposal]:
    """`x is None` where emptiness is meant, and length tests."""
    right = node.comparators[0]
    if len(node.ops) != 1 or not isinstance(right, ast.Constant):
        return
    operand = site.bare(node.left)
    if right.value is None and isinstance(node.ops[0], ast.Is | ast.Eq):
        yield site.replace(node, f"not {operand}", "condition:truth", 0.45)
    elif right.value is None and isinstance(node.ops[0], ast.IsNot | ast.NotEq):
        yield site.replace(node, operand, "condition:truth", 0.4)
    elif isinstance(right.value, str) and isinstance(node.ops[0], ast.Eq):
        yield site.replace(node, f"{operand}.lower() == {site.code(right)}.lower()", "wrap:lower", 0.15)


@on(ast.BoolOp)
def boolean_operator(site: Site, node: ast.BoolOp) -> Iterator[Proposal]:
    other = "or" if isinstance(node.op, ast.And) else "and"
    for left, right in zip(node.values, node.values[1:], strict=False):
        start, end = site.between(left, right)
        weight = 0.75 if len(node.values) == 2 else 0.5
        yield site.span(start, end, other, "boolean:operator", weight)
    if len(node.values) > 2:
        yield site.replace(node, f" {other} ".join(site.bare(v) for v in node.values), "boolean:operator", 0.5)
    for position, value in enumerate(node.values):
        rest = [site.code(v) for i, v in enumerate(node.values) if i != position]
        word = "and" if isinstance(node.op, ast.And) else "or"
        yield site.replace(node, f" {word} ".join(rest), "condition:drop", 0.3)
        if not isinstance(value, ast.UnaryOp):
            yield site.replace(value, f"not {site.bare(value)}", "boolean:negate", 0.35)
    if len(node.values) == 2:
        first, second = node.values
        joiner = "and" if isinstance(node.op, ast.And) else "or"
        yield site.replace(node, f"{site.code(second)} {joiner} {site.code(first)}", "boolean:order", 0.2)


@on(ast.BoolOp)
def regroup(site: Site, node: ast.BoolOp) -> Iterator[Proposal]:
    """Parentheses that mixed `and`/`or` lack."""
    if not isinstance(node.op, ast.Or):
        return
    for position, value in enumerate(node.values):
        if not isinstance(value, ast.BoolOp) or not isinstance(value.op, ast.And):
            continue
        others_before = [site.code(v) for v in node.values[:position]]
        others_after = [site.code(v) for v in node.values[position + 1 :]]
        parts = [site.code(v) for v in value.values]
        if others_before:
            grouped = f"({' or '.join([*others_before, parts[0]])}) and {' and '.join(parts[1:])}"
            yield site.replace(node, " or ".join([grouped, *others_after]), "boolean:group", 0.45)
        if others_after:
            grouped = f"{' and '.join(parts[:-1])} and ({' or '.join([parts[-1], *others_after])})"
            yield site.replace(node, " or ".join([*others_before, grouped]), "boolean:group", 0.45)


@on(ast.UnaryOp)
def drop_not(site: Site, node: ast.UnaryOp) -> Iterator[Proposal]:
    if isinstance(node.op, ast.Not):
        yield site.replace(node, site.code(node.operand), "boolean:negate", 0.6)
        if isinstance(node.operand, ast.Name | ast.Attribute | ast.Subscript):
            yield site.replace(node, f"{site.code(node.operand)} is None", "condition:truth", 0.45)
        if isinstance(node.operand, ast.BoolOp):
            first, rest = node.operand.values[0], node.operand.values[1:]
            both = isinstance(node.operand.op, ast.And)
            joint, flipped = (" and ", " or ") if both else (" or ", " and ")
            yield site.replace(node, flipped.join(f"not {site.bare(v)}" for v in (first, *rest)), "boolean:group", 0.1)
            yield site.replace(
                node, f"not {site.bare(first)}{joint}{joint.join(site.code(v) for v in rest)}", "boolean:group", 0.2
            )


def tests_of(statement: ast.AST) -> list[ast.expr]:
    """The conditions that a statement itself decides by."""
    found: list[ast.expr] = []
    if isinstance(statement, ast.If | ast.While | ast.Assert):
        found.append(statement.test)
    for node in ast.iter_child_nodes(statement):
        if isinstance(node, ast.expr):
            for inner in ast.walk(node):
                if isinstance(inner, ast.IfExp):
                    found.append(inner.test)
                elif isinstance(inner, ast.comprehension):
                    found.extend(inner.ifs)
    return found


@on_statement
def negate_condition(site: Site, node: ast.stmt) -> Iterator[Proposal]:
    for test in tests_of(node):
        if not isinstance(test, ast.Compare | ast.UnaryOp):
            yield site.replace(test, f"not {site.bare(test)}", "boolean:negate", 0.5)
        elif isinstance(test, ast.Compare) and len(test.ops) > 1:
            yield site.replace(test, f"not ({site.code(test)})", "boolean:negate", 0.25)
        if isinstance(test, ast.Name | ast.Attribute | ast.Subscript):
            yield site.replace(test, f"{site.code(test)} is not None", "condition:truth", 0.5)
            yield site.replace(test, f"{site.code(test)} is None", "condition:truth", 0.15)
    if isinstance(node, ast.Return) and node.value is not None:
        value = node.value
        if isinstance(value, ast.Call | ast.Name | ast.Attribute | ast.BoolOp):
            yield site.replace(value, f"not {site.bare(value)}", "boolean:negate", 0.15)
    if isinstance(node, ast.Return | ast.Assign) and isinstance(node.value, ast.Compare | ast.BoolOp):
        yield from _extended(site, node.value, 0.7)


@on_statement
def extend_condition(site: Site, node: ast.stmt) -> Iterator[Proposal]:
    for test in tests_of(node):
        yield from _extended(site, test, 1.0)


def _extended(site: Site, test: ast.expr, factor: float) -> Iterator[Proposal]:
    text = site.code(test)
    left_and = (
        text
        if not isinstance(test, ast.BoolOp | ast.IfExp | ast.Lambda) or isinstance(getattr(test, "op", None), ast.And)
        else f"({text})"
    )
    left_or = text if not isinstance(test, ast.IfExp | ast.Lambda) else f"({text})"
    for atom, weight in atoms(site, test):
        if atom in text:
            continue
        yield site.replace(test, f"{left_and} and {atom}", "condition:strengthen", factor * weight)
        yield site.replace(test, f"{left_or} or {atom}", "condition:weaken", factor * weight)
        if " is None" in atom or atom.startswith("not "):
            yield site.replace(test, f"{atom} or {text}", "condition:weaken", factor * weight * 0.9)
        elif " is not None" in atom:
            yield site.replace(
                test,
                f"{atom} and {text if left_and == text else left_and}",
                "condition:strengthen",
                factor * weight * 0.9,
            )


_CONTAINERS = (TEXT, LIST, MAPPING, SET)
_TESTS: tuple[tuple[str, float, tuple[str, ...]], ...] = (
    ("{} is not None", 1.0, ()),
    ("{}", 0.9, (TRUTH, *_CONTAINERS)),
    ("not {}", 0.9, (TRUTH, *_CONTAINERS)),
    ("{} is None", 0.9, ()),
    ("{} > 0", 0.6, (NUMBER,)),
    ("{} >= 0", 0.5, (NUMBER,)),
    ("{} == 0", 0.5, (NUMBER,)),
    ("{} != 0", 0.4, (NUMBER,)),
    ("{} < 0", 0.4, (NUMBER,)),
    ("len({}) > 1", 0.2, _CONTAINERS),
)


def atoms(site: Site, at: ast.AST) -> Iterator[tuple[str, float]]:
    """Simple conditions over what is in scope, likeliest first: those the function and its class already use,
    then tests of the names that the expression mentions, then of other names."""
    seen: set[str] = set()
    visible = set(site.visible(at))
    known = visible | set(site.globals) | ({site.self_name} if site.self_name else set())
    scope: ast.AST = site.function or site.source.tree
    for where, weight in ((scope, 0.3), (site.owner, 0.18), (site.source.tree, 0.1)):
        if where is None:
            continue
        for node in site.source.walk(where):
            if not isinstance(node, ast.If | ast.While | ast.IfExp | ast.comprehension | ast.Return):
                continue
            tests = (
                node.ifs
                if isinstance(node, ast.comprehension)
                else [node.value]
                if isinstance(node, ast.Return)
                else [node.test]
            )
            for test in tests:
                if test is None or test is at:
                    continue
                for part in test.values if isinstance(test, ast.BoolOp) else [test]:
                    if isinstance(node, ast.Return) and not isinstance(part, ast.Compare | ast.UnaryOp):
                        continue
                    names = {n.id for n in ast.walk(part) if isinstance(n, ast.Name)}
                    text = site.code(part)
                    if names and names <= known | {"len", "isinstance"} and text not in seen and len(text) < 80:
                        seen.add(text)
                        yield text, weight
    mentioned = [n.id for n in ast.walk(at) if isinstance(n, ast.Name) and n.id in visible]
    order = list(dict.fromkeys([*mentioned, *site.visible(at)]))[:8]
    operands = list(order)
    if site.self_name:
        own = [n for n in site.source.walk(scope) if isinstance(n, ast.Attribute) and n.attr in site.fields]
        used = [site.code(n) for n in own if isinstance(n.value, ast.Name) and n.value.id == site.self_name]
        operands += list(dict.fromkeys(used))[:5]
    for node in ast.walk(at):
        if (
            isinstance(node, ast.Attribute | ast.Subscript)
            and len(site.code(node)) < 40
            and isinstance(node.ctx, ast.Load)
        ):
            operands.append(site.code(node))
    for position, operand in enumerate(dict.fromkeys(operands)):
        weight = 0.2 if operand in mentioned else 0.13 if position < 5 else 0.08
        kind = site.kind(operand)
        for pattern, factor, kinds in _TESTS:
            fits = 1.0 if kind is None else 1.2 if kind in kinds else 0.3
            text = pattern.format(operand)
            if text not in seen:
                seen.add(text)
                yield text, weight * factor * fits
    for one in operands[:6]:
        for other in operands[:6]:
            if one < other:
                for token in ("==", "!=", "<", "<=", ">", ">="):
                    yield f"{one} {token} {other}", 0.05
            if one != other and len(operands) < 10:
                yield f"{one} not in {other}", 0.05
                yield f"{one} in {other}", 0.05
