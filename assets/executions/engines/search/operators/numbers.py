"""Numbers: constants off by one, arithmetic operators, operands, ranges, slices, rounding."""

import ast
import re
from collections.abc import Iterator

from .base import Proposal, Site, on

_SWAPS: dict[type[ast.operator], tuple[tuple[str, float], ...]] = {
    ast.Add: (("-", 0.6), ("*", 0.2)),
    ast.Sub: (("+", 0.6), ("*", 0.1), ("//", 0.05)),
    ast.Mult: (("/", 0.45), ("+", 0.3), ("**", 0.25), ("//", 0.15), ("-", 0.05)),
    ast.Div: (("//", 0.6), ("*", 0.45), ("-", 0.05), ("%", 0.1)),
    ast.FloorDiv: (("/", 0.75), ("%", 0.35), ("*", 0.1)),
    ast.Mod: (("//", 0.35), ("/", 0.2), ("*", 0.1)),
    ast.Pow: (("*", 0.4), ("/", 0.05)),
    ast.BitAnd: (("|", 0.5), ("^", 0.3)),
    ast.BitOr: (("&", 0.5), ("^", 0.3)),
    ast.BitXor: (("&", 0.4), ("|", 0.4)),
    ast.LShift: ((">>", 0.5),),
    ast.RShift: (("<<", 0.5),),
}
# Conversion factors that are taken for one another.
_UNIT_SETS = (
    (60, 3600, 24, 86400, 7, 604800, 1440),
    (1000, 1024, 1000000, 1048576, 1024**3, 10**9),
    (28, 29, 30, 31),
    (365, 366),
    (10, 100, 1000),
    (12, 24),
    (2, 8, 10, 16),
)
_UNITS = {
    one: tuple(other for family in _UNIT_SETS if one in family for other in family if other != one)
    for family in _UNIT_SETS
    for one in family
}
_POSITION = (ast.Slice, ast.Subscript, ast.Compare)


@on(ast.BinOp)
def arithmetic_operator(site: Site, node: ast.BinOp) -> Iterator[Proposal]:
    if isinstance(node.left, ast.Constant) and isinstance(node.left.value, str):
        return
    start, end = site.between(node.left, node.right)
    for token, weight in _SWAPS.get(type(node.op), ()):
        yield site.span(start, end, token, "arithmetic:operator", weight)


@on(ast.BinOp)
def arithmetic_operands(site: Site, node: ast.BinOp) -> Iterator[Proposal]:
    """Operands exchanged, one dropped, or the grouping changed."""
    left, right = site.bare(node.left), site.bare(node.right)
    start, end = site.between(node.left, node.right)
    token = site.source.text[start:end]
    if not isinstance(node.op, ast.Mult | ast.BitAnd | ast.BitOr | ast.BitXor):
        yield site.replace(node, f"{right} {token} {left}", "arithmetic:swap", 0.4)
    weight = 0.3 if isinstance(node.right, ast.Constant) else 0.2
    yield site.replace(node, site.code(node.left), "arithmetic:drop", weight)
    yield site.replace(node, site.code(node.right), "arithmetic:drop", weight * 0.5)
    whole = site.source.span(node)
    if isinstance(node.left, ast.BinOp) and whole[0] == site.source.span(node.left)[0]:
        inner = site.between(node.left.left, node.left.right)
        tail = f"({site.code(node.left.right)} {token} {site.code(node.right)})"
        yield site.replace(
            node, f"{site.code(node.left.left)} {site.source.text[slice(*inner)]} {tail}", "arithmetic:group", 0.35
        )
    if isinstance(node.right, ast.BinOp) and whole[1] == site.source.span(node.right)[1]:
        inner = site.between(node.right.left, node.right.right)
        head = f"({site.code(node.left)} {token} {site.code(node.right.left)})"
        yield site.replace(
            node, f"{head} {site.source.text[slice(*inner)]} {site.code(node.right.right)}", "arithmetic:group", 0.4
        )
    # Parentheses taken away.
    text = site.source.text
    if isinstance(node.left, ast.BinOp) and whole[0] < site.source.span(node.left)[0]:
        inner_end = site.source.span(node.left)[1]
        closing = text.find(")", inner_end)
        flat = site.code(node.left) + text[closing + 1 : whole[1]]
        yield site.replace(node, flat, "arithmetic:group", 0.25)
    if isinstance(node.right, ast.BinOp) and whole[1] > site.source.span(node.right)[1]:
        opening = text.rfind("(", whole[0], site.source.span(node.right)[0])
        if opening > 0:
            yield site.replace(node, text[whole[0] : opening] + site.code(node.right), "arithmetic:group", 0.25)


@on(ast.UnaryOp)
def sign(site: Site, node: ast.UnaryOp) -> Iterator[Proposal]:
    if isinstance(node.op, ast.USub):
        yield site.replace(node, site.code(node.operand), "arithmetic:sign", 0.45)


@on(ast.Constant)
def number_constant(site: Site, node: ast.Constant) -> Iterator[Proposal]:
    """Neighbours of a number, and numbers that the failing tests, the issue or the file mention."""
    value = node.value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    parent = site.source.parents.get(node)
    text = site.code(node)
    near = isinstance(parent, _POSITION) or (
        isinstance(parent, ast.Call) and isinstance(parent.func, ast.Name) and parent.func.id in ("range", "enumerate")
    ) or isinstance(parent, ast.UnaryOp)  # fmt: skip
    weight = 0.65 if near else 0.4
    if isinstance(parent, ast.Subscript):
        weight = 0.35  # a fixed position is seldom one off
    if isinstance(value, int):
        yield site.replace(node, str(value + 1), "number:constant", weight)
        if value > 0:
            yield site.replace(node, str(value - 1), "number:constant", weight)
        elif not isinstance(parent, ast.UnaryOp):
            yield site.replace(node, "-1", "number:constant", weight * 0.6)
        if value not in (0, 1):
            for other in (0, 1):
                yield site.replace(node, str(other), "number:constant", 0.2)
        if value > 1 and not isinstance(parent, ast.UnaryOp):
            scaled: int | None
            for scaled in (*_UNITS.get(value, ()), value * 10, value // 10 if value % 10 == 0 else None, value * 2,
                value // 2 if value % 2 == 0 else None,
                          value * 1000 if value in (1, 60, 24) else None,
                              1024 if value == 1000 else 1000 if value == 1024 else None):  # fmt: skip
                if scaled and scaled != value:
                    yield site.replace(
                        node, str(scaled), "number:constant", 0.2 if scaled in _UNITS.get(value, ()) else 0.12
                    )
    else:
        for other_float in (value * 10, value / 10, value * 100, value / 100, 1 - value, 1 + value):
            if other_float > 0:
                yield site.replace(node, repr(round(other_float, 12)), "number:constant", 0.12)
    if value in (0, 1, -1) and isinstance(site.statement, ast.Assign | ast.AnnAssign):
        target = site.code(
            site.statement.targets[0] if isinstance(site.statement, ast.Assign) else site.statement.target
        )
        extreme = re.search(r"best|max|min|small|larg|low|high|top|worst|short|long", target) is not None
        for name in site.parameters[:3]:
            if site.kind(name) in (None, "list"):
                yield site.replace(node, f"{name}[0]", "statement:initial", 0.3 if extreme else 0.1)
    seen = {text}
    for literal in site.symptoms.literals[:25]:
        if isinstance(literal, int | float) and not isinstance(literal, bool) and repr(literal) not in seen:
            seen.add(repr(literal))
            in_issue = repr(literal) in site.symptoms.issue
            yield site.replace(node, repr(literal), "number:borrowed", 0.22 if in_issue else 0.08)
    for constant in site.index.constants.get(site.source.path, [])[:60]:
        number = isinstance(constant.value, int | float) and not isinstance(constant.value, bool)
        if number and repr(constant.value) not in seen:
            seen.add(repr(constant.value))
            yield site.replace(node, repr(constant.value), "number:borrowed", 0.1)


@on(ast.Call)
def range_bounds(site: Site, node: ast.Call) -> Iterator[Proposal]:
    if not (isinstance(node.func, ast.Name) and node.func.id == "range") or node.keywords:
        return
    arguments = [site.code(a) for a in node.args]
    if len(arguments) == 1:
        (stop,) = arguments
        for text, weight in ((f"{stop} + 1", 0.75), (f"1, {stop} + 1", 0.5), (f"1, {stop}", 0.5), (f"{stop} - 1", 0.5),
                             (f"{stop} - 1, -1, -1", 0.2), (f"2, {stop}", 0.08), (f"2, {stop} + 1", 0.08)):  # fmt: skip
            yield site.replace(node, f"range({_tidy(text)})", "range:bounds", weight)
    elif len(arguments) == 2:
        start, stop = arguments
        for text, weight in ((f"{start}, {stop} + 1", 0.75), (f"{start} + 1, {stop}", 0.4),
            (f"{start}, {stop} - 1", 0.5),
                             (f"{start} - 1, {stop}", 0.35), (f"{stop}", 0.2), (f"{start} + 1, {stop} + 1", 0.3),
                             (f"{start}, {stop}, -1", 0.25), (f"{stop}, {start}", 0.1),
                             (f"{start} - 1, {stop} - 1", 0.1)):  # fmt: skip
            yield site.replace(node, f"range({_tidy(text)})", "range:bounds", weight)
    elif len(arguments) == 3:
        start, stop, step = arguments
        for text, weight in ((f"{start}, {stop} + 1, {step}", 0.6), (f"{start}, {stop} - 1, {step}", 0.6),
                             (f"{start} - 1, {stop}, {step}", 0.45), (f"{start} + 1, {stop}, {step}", 0.4),
                             (f"{start}, {stop}", 0.2),
                             (f"{start}, {stop}, -{step}", 0.2)):  # fmt: skip
            yield site.replace(node, f"range({_tidy(text)})", "range:bounds", weight)


def _tidy(text: str) -> str:
    """`len(x) - 1 + 1` as `len(x)`, `1 + 1` as `2`."""
    parts = []
    for part in text.split(", "):
        short = part.replace(" - 1 + 1", "").replace(" + 1 - 1", "")
        pieces = short.split(" ")
        if len(pieces) == 3 and pieces[0].lstrip("-").isdigit() and pieces[2].isdigit() and pieces[1] in "+-":
            short = str(int(pieces[0]) + (int(pieces[2]) if pieces[1] == "+" else -int(pieces[2])))
        parts.append(short)
    return ", ".join(parts)


@on(ast.Subscript)
def slice_bounds(site: Site, node: ast.Subscript) -> Iterator[Proposal]:
    part = node.slice
    if not isinstance(part, ast.Slice):
        if (isinstance(part, ast.Constant) and isinstance(part.value, int)) or isinstance(part, ast.UnaryOp):
            for other, weight in (("0", 0.45), ("-1", 0.45), ("1", 0.35), ("-2", 0.1)):
                if site.code(part) != other:
                    yield site.replace(part, other, "slice:index", weight)
        elif not isinstance(part, ast.Constant | ast.Tuple | ast.JoinedStr):
            for other, weight in (
                (f"{site.code(part)} - 1", 0.4),
                (f"{site.code(part)} + 1", 0.4),
                (f"-{site.bare(part)}", 0.1),
            ):
                yield site.replace(part, _tidy(other), "slice:index", weight)
        return
    lower = site.code(part.lower) if part.lower else ""
    upper = site.code(part.upper) if part.upper else ""
    step = f":{site.code(part.step)}" if part.step else ""
    value = site.code(node.value)
    options: list[tuple[str, float]] = []
    if upper:
        options += [
            (f"{lower}:{_tidy(upper + ' + 1')}{step}", 0.6),
            (f"{lower}:{_tidy(upper + ' - 1')}{step}", 0.5),
            (f"{lower}:{step}", 0.35),
        ]
    else:
        options += [(f"{lower}:-1{step}", 0.3)]
    if lower:
        options += [
            (f"{_tidy(lower + ' + 1')}:{upper}{step}", 0.5),
            (f"{_tidy(lower + ' - 1')}:{upper}{step}", 0.5),
            (f":{upper}{step}", 0.35),
        ]
    else:
        options += [(f"1:{upper}{step}", 0.35)]
    if lower and upper:
        options += [(f"{lower}:{lower} + {upper}{step}", 0.45), (f"{upper}:{lower}{step}", 0.1),
            (f"{_tidy(lower + ' + 1')}:{_tidy(upper + ' + 1')}{step}", 0.25),
                    (f"{_tidy(lower + ' - 1')}:{_tidy(upper + ' - 1')}{step}", 0.2)]  # fmt: skip
    if lower and not upper:
        options += [(f":{lower}{step}", 0.4)]
    if upper and not lower:
        options += [
            (f"{upper}:{step}", 0.4),
            (f"-{upper}:{step}" if upper.isidentifier() or upper.isdigit() else "", 0.35),
        ]
    if lower.startswith("-"):
        options += [(f"{lower[1:]}:{upper}{step}", 0.3)]
    if upper.startswith("-"):
        options += [(f"{lower}:{upper[1:]}{step}", 0.3)]
    if step:
        options += [(f"{lower}:{upper}", 0.35), (f"{lower}:{upper}:-1", 0.2)]
    else:
        options += [(f"{lower}:{upper}:-1" if not lower and not upper else "", 0.3)]
    for text, weight in options:
        if text:
            yield site.replace(node, f"{value}[{text}]", "slice:bounds", weight)
    if lower or upper:
        yield site.replace(node, value, "slice:drop", 0.15)


@on(ast.Name, ast.Attribute, ast.Call, ast.BinOp)
def shift_by_one(site: Site, node: ast.expr) -> Iterator[Proposal]:
    """`x` where `x + 1` or `x - 1` is meant: in comparisons, arguments, assignments and returns."""
    if not isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
        return
    parent = site.source.parents.get(node)
    if isinstance(parent, ast.Compare) and any(
        isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE) for op in parent.ops
    ):
        weight = 0.3
    elif isinstance(parent, ast.Compare):
        weight = 0.15
    elif isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.Mult | ast.FloorDiv | ast.Mod | ast.Div):
        weight = 0.25
    elif isinstance(parent, ast.Return | ast.Assign | ast.AugAssign) and getattr(parent, "value", None) is node:
        weight = 0.25 if not isinstance(node, ast.Call) or _is_call(node, "len", "int", "max", "min", "sum") else 0.1
    elif isinstance(parent, ast.Call) and node in parent.args and not isinstance(parent.func, ast.Name):
        weight = 0.12
    elif isinstance(parent, ast.Call) and node in parent.args:
        weight = 0.15
    else:
        return
    if isinstance(node, ast.BinOp) and not isinstance(node.op, ast.Add | ast.Sub):
        text = site.code(node)
    else:
        text = site.code(node)
    wide = isinstance(parent, ast.BinOp)
    for other in (f"{text} + 1", f"{text} - 1"):
        yield site.replace(node, f"({other})" if wide else _tidy(other), "number:shift", weight)


def _is_call(node: ast.AST, *names: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names


@on(ast.Call)
def rounding(site: Site, node: ast.Call) -> Iterator[Proposal]:
    if _is_call(node, "int") and len(node.args) == 1:
        yield site.replace(node, f"round({site.code(node.args[0])})", "round:call", 0.4)
        yield site.replace(node, site.code(node.args[0]), "round:drop", 0.2)
    elif _is_call(node, "round"):
        first = site.code(node.args[0]) if node.args else ""
        if len(node.args) == 1:
            for digits, weight in (("2", 0.3), ("1", 0.15), ("3", 0.08)):
                yield site.replace(node, f"round({first}, {digits})", "round:digits", weight)
            yield site.replace(node, f"int({first})", "round:call", 0.3)
        elif len(node.args) == 2:
            yield site.replace(node, f"round({first})", "round:digits", 0.25)
        if node.args:
            yield site.replace(node, first, "round:drop", 0.2)


@on(ast.BinOp)
def round_division(site: Site, node: ast.BinOp) -> Iterator[Proposal]:
    """Division rounded another way: up, to nearest, or guarded against remainders."""
    if isinstance(node.op, ast.FloorDiv):
        left, right = site.bare(node.left), site.bare(node.right)
        yield site.replace(node, f"-(-{left} // {right})", "round:up", 0.4)
        yield site.replace(node, f"({site.code(node.left)} + {site.code(node.right)} - 1) // {right}", "round:up", 0.3)
    elif isinstance(node.op, ast.Div):
        yield site.replace(node, f"round({site.code(node)}, 2)", "round:wrap", 0.15)
        yield site.replace(node, f"int({site.code(node)})", "round:wrap", 0.15)


@on(ast.Return)
def round_result(site: Site, node: ast.Return) -> Iterator[Proposal]:
    if isinstance(node.value, ast.BinOp | ast.Name | ast.Call):
        yield site.replace(node.value, f"round({site.code(node.value)}, 2)", "round:wrap", 0.15)


@on(ast.Name, ast.Attribute)
def negate_number(site: Site, node: ast.expr) -> Iterator[Proposal]:
    parent = site.source.parents.get(node)
    if isinstance(getattr(node, "ctx", None), ast.Load) and isinstance(
        parent, ast.Return | ast.Tuple | ast.BinOp | ast.Lambda
    ):
        if isinstance(parent, ast.BinOp) and not (parent.left is node or isinstance(parent.op, ast.Mult)):
            return
        yield site.replace(node, f"-{site.code(node)}", "arithmetic:sign", 0.12)
