"""Guards: early returns, raises, skips and protected expressions for a case that the code does not handle."""

import ast
import re
from collections.abc import Iterator

from .base import Proposal, Site, on, on_statement
from .conditions import tests_of
from .kinds import NUMBER
from .values import expected_values, usual_returns


def _is_first(site: Site, node: ast.stmt) -> bool:
    """Whether the statement is the first of its function after a docstring."""
    if site.function is None:
        return False
    body = site.function.body
    first = body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        body = body[1:]
    return bool(body) and body[0] is node


def _names_read(site: Site, node: ast.stmt) -> list[str]:
    """What the statement's own expressions read and a guard may test: names first, then longer reads."""
    found: dict[str, None] = {}
    visible = set(site.visible(node))
    longer: dict[str, None] = {}
    for inner in site.source.own_nodes(node):
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load) and inner.id in visible:
            found[inner.id] = None
        elif isinstance(inner, ast.Attribute | ast.Subscript) and isinstance(inner.ctx, ast.Load):
            around = site.source.parents.get(inner)
            if isinstance(around, ast.Call) and around.func is inner:
                continue
            text = site.code(inner)
            if len(text) < 40 and "\n" not in text:
                longer[text] = None
    return [*found, *longer][:8]


def _divisors(site: Site, node: ast.stmt) -> list[str]:
    return [
        site.code(inner.right)
        for inner in site.source.own_nodes(node)
        if isinstance(inner, ast.BinOp)
        and isinstance(inner.op, ast.Div | ast.FloorDiv | ast.Mod)
        and not isinstance(inner.right, ast.Constant)
    ]


def _conditions(site: Site, node: ast.stmt) -> Iterator[tuple[str, str, float]]:
    """(condition, kind, weight) for a guard before the statement."""
    first = _is_first(site, node)
    for divisor in _divisors(site, node):
        yield f"{divisor} == 0", "zero", 0.5
        yield f"not {divisor}", "zero", 0.5
    names = list(dict.fromkeys([*_names_read(site, node), *(site.parameters if first else [])]))
    for position, name in enumerate(names):
        own = 1.0 if name in site.parameters else 0.8
        own *= 1.0 if position < 4 else 0.6
        number = site.kind(name) == NUMBER
        yield f"not {name}", "falsy", 0.4 * own * (0.4 if number else 1.0)
        yield f"{name} is None", "none", 0.4 * own * (0.6 if site.kind(name) else 1.0)
        if first and name in site.parameters and site.kind(name) in (None, NUMBER):
            yield f"{name} <= 0", "range", 0.2 * own
            yield f"{name} < 0", "range", 0.22 * own
            yield f"{name} == 0", "zero", 0.2 * own
            yield f"{name} < 1", "range", 0.08
        if first and name in site.parameters and not number:
            yield f"len({name}) == 1", "one", 0.05
    block = site.block_of(node)
    before = block[: next((i for i, item in enumerate(block) if item is node), 0)]
    unpacked = [around.target for around in site.enclosing[:2] if isinstance(around, ast.For)]
    unpacked += [s.targets[0] for s in before[-2:] if isinstance(s, ast.Assign)]
    for target in unpacked:
        if isinstance(target, ast.Tuple):
            pair = [e.id for e in target.elts if isinstance(e, ast.Name)]
            if len(pair) == 2:
                one, other = pair
                for text, weight in (
                    (f"{one} is None or {other} is None", 0.25),
                    (f"{one} == {other}", 0.25),
                    (f"not {one} or not {other}", 0.15),
                    (f"{one} is {other}", 0.05),
                ):
                    yield text, "none" if "None" in text else "equal", weight
    for inner in site.source.own_nodes(node):
        if isinstance(inner, ast.Subscript) and not isinstance(inner.slice, ast.Slice | ast.Constant | ast.UnaryOp):
            container, key = site.code(inner.value), site.code(inner.slice)
            yield f"{key} not in {container}", "in", 0.4
            yield f"{key} >= len({container})", "bound", 0.15
            yield f"{key} in {container}", "in", 0.1
        elif (
            isinstance(inner, ast.Call)
            and isinstance(inner.func, ast.Attribute)
            and inner.func.attr in ("append", "add", "remove", "discard")
            and inner.args
        ):
            container, item = site.code(inner.func.value), site.code(inner.args[0])
            if len(item) < 40:
                yield f"{item} in {container}", "in", 0.35
                yield f"{item} not in {container}", "in", 0.3
    if first and len(site.parameters) >= 2:
        for i, one in enumerate(site.parameters[:4]):
            for other in site.parameters[i + 1 : 4]:
                yield f"{one} == {other}", "equal", 0.12
                yield f"{one} > {other}", "range", 0.15
                yield f"{one} < {other}", "range", 0.12


def _in_loop(site: Site) -> bool:
    return any(isinstance(around, ast.For | ast.While | ast.AsyncFor) for around in site.enclosing)


@on_statement
def early_exit(site: Site, node: ast.stmt) -> Iterator[Proposal | None]:
    """`if <condition>: return / continue / raise` before a statement."""
    if site.function is None or isinstance(
        node,
        ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef | ast.Import | ast.ImportFrom | ast.Global | ast.Nonlocal,
    ):
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    parent = site.source.parents.get(node)
    if isinstance(parent, ast.If) and parent.orelse == [node] and isinstance(node, ast.If):
        return  # an elif
    first = _is_first(site, node)
    loop = _in_loop(site)
    returns = usual_returns(site)
    for condition, kind, weight in dict.fromkeys(_conditions(site, node)):
        operator = f"guard:{kind}"
        for value, likely in returns[:9]:
            if first or not loop or likely >= 0.8:
                yield site.before(node, [f"if {condition}:", f"    return {value}" if value != "None" else "    return"
                                         if not _returns_value(site) else "    return None"], operator,
                                             weight * (0.35 + 0.5 * likely))  # fmt: skip
        if loop:
            yield site.before(node, [f"if {condition}:", "    continue"], operator, weight * 0.9)
            yield site.before(node, [f"if {condition}:", "    break"], operator, weight * 0.35)
    if site.symptoms.expected_raise and (first or not loop):
        yield from _raises(site, node, first)


def _returns_value(site: Site) -> bool:
    return site.function is not None and any(
        isinstance(n, ast.Return) and n.value is not None for n in site.source.walk(site.function)
    )


def _raises(site: Site, node: ast.stmt, first: bool) -> Iterator[Proposal | None]:
    """`if <condition>: raise X(message)` where the tests expect X."""
    conditions = list(dict.fromkeys(_conditions(site, node)))
    if first:
        for name in site.parameters[:5]:
            conditions += [(f"{name} > 1", "range", 0.05), (f"{name} > 100", "range", 0.05),
                (f"not isinstance({name}, str)", "type", 0.1),
                           (f"not isinstance({name}, int)", "type", 0.1),
                           (f"not isinstance({name}, (int, float))", "type", 0.08),
                           (f"not {name}.strip()", "falsy", 0.12), (f"len({name}) == 0", "falsy", 0.05)]  # fmt: skip
            for field in site.fields[:8]:
                own = f"{site.self_name}.{field}"
                conditions += [(f"{name} in {own}", "in", 0.12), (f"{name} not in {own}", "in", 0.12),
                    (f"{name} > {own}", "range", 0.15),
                               (f"{name} >= {own}", "range", 0.08), (f"{name} < {own}", "range", 0.06),
                               (f"{own} + {name} > {own}", "range", 0.01)]  # fmt: skip
        for field in site.fields[:8]:
            own = f"{site.self_name}.{field}"
            conditions += [(f"not {own}", "falsy", 0.1), (own, "truthy", 0.1), (f"{own} is None", "none", 0.1)]
        for i, one in enumerate(site.parameters[:4]):
            for other in site.parameters[i + 1 : 4]:
                conditions += [
                    (f"len({one}) != len({other})", "range", 0.12),
                    (f"{one} >= {other}", "range", 0.08),
                    (f"{one} <= {other}", "range", 0.08),
                ]
    for kind in sorted(site.symptoms.expected_raise)[:3]:
        for condition, _, weight in conditions:
            text = message(site, condition)
            yield site.before(node, [f"if {condition}:", f"    raise {kind}({text})"], "guard:raise", weight)


def message(site: Site, condition: str) -> str:
    """A message in the style of the file, or one that the failing test expects."""
    for text in site.symptoms.expected_text[:1]:
        plain = re.sub(r"\\(.)", r"\1", text.strip("^$"))
        if '"' not in plain and "\\" not in plain and len(plain) < 100:
            return f'"{plain}"'
    name = (
        re.sub(r"^not |^len\(|isinstance\(|[ )\],(].*$", "", condition).removeprefix("self.").replace("_", " ").strip()
        or "value"
    )
    name = re.sub(r"[^\w .]", "", name) or "value"
    if condition.startswith("not isinstance"):
        return f'"{name} has the wrong type"'
    if condition.startswith(("not ", "len(")) or condition.endswith("is None"):
        return f'"{name} must not be empty"' if not condition.endswith("is None") else f'"{name} is required"'
    match = re.fullmatch(r"(\w+) (<=|<|>=|>) (\S+)", condition)
    if match:
        words = {"<": "at least", "<=": "more than", ">": "at most", ">=": "less than"}[match[2]]
        limit = match[3].replace("self.", "").replace("_", " ")
        return f'"{name} must be {words} {limit}"'
    return f'"invalid {name}"'


@on_statement
def wrap_in_condition(site: Site, node: ast.stmt) -> Iterator[Proposal | None]:
    """A statement made to run only under a condition."""
    if site.function is None or not isinstance(
        node, ast.Expr | ast.Assign | ast.AugAssign | ast.Return | ast.Raise | ast.Delete | ast.For
    ):
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    if isinstance(node, ast.Assign) and all(isinstance(t, ast.Name) for t in node.targets) and not any(
        t.id in site.parameters for t in node.targets if isinstance(t, ast.Name)
    ) and not _in_loop(site):  # fmt: skip
        return
    edit = site.delete(node)
    if edit is None:
        return
    lines = site.lines_of(node)
    if len(lines) > 12:
        return
    indent = site.source.indent(node)
    for condition, kind, weight in dict.fromkeys(_conditions(site, node)):
        opposite = _opposite(condition)
        text = site.newline.join(
            [f"{indent}if {opposite}:", *(f"{indent}    {line}" if line.strip() else line for line in lines)]
        )
        yield site.span(edit.start, edit.end, text + site.newline, f"guard:{kind}", weight * 0.5)


def _opposite(condition: str) -> str:
    if condition.startswith("not "):
        return condition[4:]
    for one, other in (
        (" is None", " is not None"),
        (" not in ", " in "),
        (" in ", " not in "),
        (" == ", " != "),
        (" <= ", " > "),
        (" < ", " >= "),
        (" >= ", " < "),
        (" > ", " <= "),
    ):
        if one in condition:
            return condition.replace(one, other, 1)
    return f"not ({condition})"


@on(ast.Attribute, ast.Subscript, ast.Call, ast.BinOp)
def protected_expression(site: Site, node: ast.expr) -> Iterator[Proposal]:
    """`x.y if x else default` around an expression that can fail."""
    if not isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
        return
    parent = site.source.parents.get(node)
    if not isinstance(
        parent, ast.Return | ast.Assign | ast.keyword | ast.Call | ast.Dict | ast.List | ast.Tuple | ast.AnnAssign
    ) or (isinstance(parent, ast.Call) and parent.func is node):
        return
    if isinstance(node, ast.BinOp):
        if isinstance(node.op, ast.Div | ast.FloorDiv | ast.Mod) and not isinstance(node.right, ast.Constant):
            tests = [(site.code(node.right), "zero", 0.45)]
        else:
            return
    elif isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name | ast.Attribute):
            tests = [(site.code(node.func.value), "none", 0.25)]
        elif (
            node.args
            and isinstance(node.args[0], ast.Name | ast.Attribute)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("min", "max", "sum", "int", "float", "len", "next")
        ):
            tests = [(site.code(node.args[0]), "empty", 0.4)]
        else:
            return
    else:
        if not isinstance(node, ast.Attribute | ast.Subscript):
            return
        tests = [(site.code(node.value), "none" if isinstance(node, ast.Attribute) else "empty", 0.25)]
        if isinstance(node.value, ast.Name) and node.value.id == site.self_name:
            return
    text = site.code(node)
    if "\n" in text or len(text) > 80:
        return
    defaults = [*expected_values(site), "None", "0", '""', "[]", "0.0", "{}"]
    for test, kind, weight in tests:
        for default in list(dict.fromkeys(defaults))[:7]:
            likely = 1.0 if default in expected_values(site) else 0.6
            condition = f"{test} is not None" if kind == "none" else test
            made = f"{text} if {condition} else {default}"
            yield site.replace(
                node,
                made
                if isinstance(parent, ast.Return | ast.Assign | ast.AnnAssign | ast.keyword | ast.Dict)
                else f"({made})",
                f"guard:{kind}",
                weight * likely,
            )


@on_statement
def normalise_parameter(site: Site, node: ast.stmt) -> Iterator[Proposal | None]:
    """A parameter given its default or normalised at the start of the function."""
    if not _is_first(site, node):
        return
    for name in site.parameters[:6]:
        for text, operator, weight in (
            (f"{name} = {name}.strip()", "wrap:strip", 0.18), (f"{name} = {name}.lower()", "wrap:lower", 0.18),
            (f"{name} = list({name})", "copy:shallow", 0.2),
            (f"{name} = dict({name})", "copy:shallow", 0.15), (f"{name} = str({name})", "wrap:str", 0.08),
            (f"{name} = sorted({name})", "sort:wrap", 0.08), (f"{name} = int({name})", "wrap:int", 0.06),
            (f"{name} = abs({name})", "wrap:abs", 0.06), (f"{name} = set({name})", "wrap:set", 0.04),
            (f"{name} = {name} or []", "guard:default", 0.08), (f"{name} = {name} or {{}}", "guard:default", 0.06),
            (f"{name} = max(0, {name})", "wrap:clamp", 0.1),
        ):  # fmt: skip
            yield site.before(node, [text], operator, weight)
        if "os" in site.globals:
            yield site.before(node, [f"{name} = os.fspath({name})"], "wrap:fspath", 0.12)
        yield from _default_for_none(site, node, name, 0.12)
    for i, one in enumerate(site.parameters[:3]):
        for other in site.parameters[i + 1 : 3]:
            yield site.before(
                node, [f"if {one} > {other}:", f"    {one}, {other} = {other}, {one}"], "guard:order", 0.1
            )


def _default_for_none(site: Site, node: ast.stmt, name: str, weight: float) -> Iterator[Proposal | None]:
    for value, likely in (("[]", 1.0), ("{}", 1.0), ('""', 0.7), ("0", 0.5)):
        yield site.before(node, [f"if {name} is None:", f"    {name} = {value}"], "guard:none", weight * likely)


@on_statement
def local_without_value(site: Site, node: ast.stmt) -> Iterator[Proposal | None]:
    """A local variable that is None, given an empty value before it is used."""
    if site.function is None or _is_first(site, node) or not site.source.starts_line(node):
        return
    shown = site.symptoms.shows_none
    for name in _names_read(site, node)[:3]:
        if name.isidentifier() and name != site.self_name:
            yield from _default_for_none(site, node, name, 0.3 if shown else 0.05)


@on_statement
def clamp_result(site: Site, node: ast.stmt) -> Iterator[Proposal]:
    """A result or assigned value held within bounds that are in scope."""
    if not isinstance(node, ast.Return | ast.Assign | ast.AugAssign) or node.value is None:
        return
    value = node.value
    if isinstance(node, ast.AugAssign) or not isinstance(value, ast.BinOp | ast.Name | ast.Call | ast.Attribute):
        return
    text = site.code(value)
    bounds = ["0", "1", *site.parameters[:5]]
    if site.self_name:
        bounds += [f"{site.self_name}.{field}" for field in site.fields[:8]]
    bounds += [name for name in site.globals if name.isupper()][:6]
    for bound in dict.fromkeys(bounds):
        if bound != text:
            weight = (
                0.2 if bound in ("0", "1") or re.search(r"max|min|limit|cap|size|bound", bound, re.IGNORECASE) else 0.06
            )
            yield site.replace(value, f"max({text}, {bound})", "wrap:clamp", weight)
            yield site.replace(value, f"min({text}, {bound})", "wrap:clamp", weight)


@on_statement
def membership_test(site: Site, node: ast.stmt) -> Iterator[Proposal]:
    """`==` against one value widened to the values that the tests and the file mention."""
    for test in tests_of(node):
        for inner in ast.walk(test):
            if (
                isinstance(inner, ast.Compare)
                and len(inner.ops) == 1
                and isinstance(inner.comparators[0], ast.Constant)
            ):
                right = inner.comparators[0]
                if isinstance(right.value, str) and isinstance(inner.ops[0], ast.Eq | ast.NotEq):
                    token = "in" if isinstance(inner.ops[0], ast.Eq) else "not in"
                    for value in site.symptoms.literals[:12]:
                        if isinstance(value, str) and value != right.value and len(value) < 30 and "\n" not in value:
                            weight = 0.25 if value in site.symptoms.issue else 0.08
                            yield site.replace(
                                inner,
                                f"{site.code(inner.left)} {token} ({site.code(right)}, {value!r})",
                                "condition:values",
                                weight,
                            )
            elif isinstance(inner, ast.Compare) and len(inner.ops) == 1:
                choices = inner.comparators[0]
                if not isinstance(choices, ast.Tuple | ast.List | ast.Set) or not choices.elts:
                    continue
                last = choices.elts[-1]
                end = site.source.span(last)[1]
                for literal in site.symptoms.literals[:20]:
                    if isinstance(literal, str | int) and type(literal) is type(getattr(last, "value", None)):
                        weight = 0.3 if str(literal) in site.symptoms.issue else 0.1
                        yield site.span(end, end, f", {literal!r}", "condition:values", weight)
