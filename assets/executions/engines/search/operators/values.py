"""Values and lookups: constants, returns, `[k]` and `.get`, copies, dictionaries, comprehensions."""

import ast
from collections.abc import Iterator
from typing import Any

from .base import Proposal, Site, on, on_statement
from .imports import import_edit

_SIMPLE: tuple[object, ...] = (None, True, False, 0, 1, -1, 0.0, "", (), [], {})


@on(ast.Constant)
def flag_constant(site: Site, node: ast.Constant) -> Iterator[Proposal]:
    if isinstance(node.value, bool):
        yield site.replace(node, str(not node.value), "boolean:constant", 0.65)
        yield site.replace(node, "None", "boolean:constant", 0.1)
    elif node.value is None and not isinstance(site.source.parents.get(node), ast.Compare):
        for text, weight in (("False", 0.15), ("True", 0.12), ("0", 0.2), ('""', 0.2), ("[]", 0.2), ("{}", 0.15)):
            yield site.replace(node, text, "return:constant", weight)
        for name in site.visible(node)[:8]:
            yield site.replace(node, name, "return:variable", 0.25)


def expected_values(site: Site) -> list[str]:
    """Simple values that the failed comparisons expected, as code: what a guard or return may well give."""
    found = []
    for one, other in site.symptoms.values[:8]:
        for value in (other, one):
            if _is_simple(value) and repr(value) not in found:
                found.append(repr(value))
    return found


def _is_simple(value: Any) -> bool:
    return any(type(value) is type(s) and value == s for s in _SIMPLE)


def usual_returns(site: Site) -> list[tuple[str, float]]:
    """Values that this function might return early: what it returns elsewhere, what was expected, empty values."""
    found: dict[str, float] = {}
    for text in expected_values(site):
        found[text] = 1.0
    if site.function is not None:
        for node in site.source.walk(site.function):
            if (
                isinstance(node, ast.Return)
                and node.value is not None
                and site.source.function_of(node) is site.function
            ):
                text = site.code(node.value)
                if isinstance(node.value, ast.Constant | ast.List | ast.Dict | ast.Tuple) and len(text) < 40:
                    found.setdefault(text, 0.8)
        for name in site.parameters[:3]:
            found.setdefault(name, 0.4)
    for text, weight in (
        ("None", 0.5),
        ("[]", 0.45),
        ("0", 0.45),
        ("False", 0.4),
        ('""', 0.4),
        ("{}", 0.35),
        ("True", 0.3),
        ("0.0", 0.35),
        ("()", 0.1),
        ("set()", 0.15),
        ("1", 0.15),
    ):
        found.setdefault(text, weight)
    return sorted(found.items(), key=lambda item: -item[1])


@on(ast.Return)
def other_return(site: Site, node: ast.Return) -> Iterator[Proposal]:
    """Another value returned: a variable, a usual value, one part of a tuple."""
    if node.value is None:
        for name in site.visible(node)[:10]:
            yield site.replace(node, f"return {name}", "return:variable", 0.4)
        for text, weight in usual_returns(site):
            yield site.replace(node, f"return {text}", "return:constant", 0.3 * weight)
        return
    for text, weight in usual_returns(site)[:8]:
        factor = 0.35 if isinstance(node.value, ast.Constant | ast.List | ast.Dict | ast.Tuple) else 0.06
        yield site.replace(node.value, text, "return:constant", factor * weight)
    weight = 0.35 if isinstance(node.value, ast.Constant | ast.Name) else 0.15
    for name in site.visible(node)[:10]:
        yield site.replace(node.value, name, "return:variable", weight)
    if site.self_name:
        for field in site.fields[:15]:
            yield site.replace(node.value, f"{site.self_name}.{field}", "return:field", 0.1)
        yield site.replace(node.value, site.self_name, "return:field", 0.1)
    if isinstance(node.value, ast.Tuple) and len(node.value.elts) > 1:
        for part in node.value.elts:
            yield site.replace(node.value, site.code(part), "return:part", 0.12)


@on(ast.Subscript)
def lookup(site: Site, node: ast.Subscript) -> Iterator[Proposal]:
    """`d[k]` as `d.get(k, ...)`."""
    if not isinstance(node.ctx, ast.Load) or isinstance(node.slice, ast.Slice | ast.Tuple):
        return
    value, key = site.bare(node.value), site.code(node.slice)
    yield site.replace(node, site.code(node.value), "slice:drop", 0.15)
    for text, weight in (
        ("", 0.35),
        (", 0", 0.35),
        (', ""', 0.2),
        (", []", 0.25),
        (", {}", 0.2),
        (", False", 0.1),
        (", 1", 0.06),
        (f", {key}", 0.2),
        (", ()", 0.05),
        (", 0.0", 0.08),
    ):
        yield site.replace(node, f"{value}.get({key}{text})", "lookup:get", weight)
    for text in expected_values(site)[:3]:
        yield site.replace(node, f"{value}.get({key}, {text})", "lookup:get", 0.35)
    for name in [n for n in site.visible(node) if n in ("default", "fallback")] + [
        n for n in site.parameters if "default" in n
    ]:
        yield site.replace(node, f"{value}.get({key}, {name})", "lookup:get", 0.6)


@on(ast.Call)
def get_default(site: Site, node: ast.Call) -> Iterator[Proposal]:
    if not (
        isinstance(node.func, ast.Attribute)
        and node.func.attr in ("get", "pop", "setdefault")
        and 1 <= len(node.args) <= 2
    ):
        return
    receiver, key = site.code(node.func.value), site.code(node.args[0])
    if node.func.attr == "get":
        yield site.replace(node, f"{receiver}[{key}]", "lookup:index", 0.35 if len(node.args) == 1 else 0.2)
    values = [
        "0",
        '""',
        "[]",
        "{}",
        "None",
        "False",
        "True",
        "1",
        key,
        *expected_values(site),
        *[n for n in site.parameters if "default" in n],
    ]
    current = site.code(node.args[1]) if len(node.args) == 2 else None
    for text in dict.fromkeys(values):
        if text != current:
            weight = 0.6 if "default" in text else 0.3 if len(node.args) == 1 else 0.2
            yield site.replace(node, f"{receiver}.{node.func.attr}({key}, {text})", "lookup:default", weight)
    if len(node.args) == 2:
        yield site.replace(node, f"{receiver}.{node.func.attr}({key})", "lookup:default", 0.2)


@on(ast.BoolOp)
def default_by_or(site: Site, node: ast.BoolOp) -> Iterator[Proposal]:
    """`x or default`, which loses 0 and "", as a test for None."""
    if (
        isinstance(node.op, ast.Or)
        and len(node.values) == 2
        and isinstance(node.values[0], ast.Name | ast.Attribute | ast.Call | ast.Subscript)
    ):
        first, second = site.code(node.values[0]), site.code(node.values[1])
        text = f"{first} if {first} is not None else {second}"
        parent = site.source.parents.get(node)
        wide = not isinstance(parent, ast.Return | ast.Assign | ast.AnnAssign | ast.keyword | ast.Call)
        yield site.replace(node, f"({text})" if wide else text, "condition:truth", 0.6)
        yield site.replace(node, first, "condition:drop", 0.2)


@on(ast.IfExp)
def conditional_expression(site: Site, node: ast.IfExp) -> Iterator[Proposal]:
    body, test, other = site.code(node.body), site.code(node.test), site.code(node.orelse)
    yield site.replace(node, f"{other} if {test} else {body}", "boolean:branches", 0.5)
    yield site.replace(node, body, "condition:drop", 0.25)
    yield site.replace(node, other, "condition:drop", 0.2)
    for branch in (node.body, node.orelse):
        for text in expected_values(site)[:4]:
            yield site.replace(branch, text, "return:constant", 0.25)


_COPIES = (
    ("list({})", 0.35),
    ("dict({})", 0.3),
    ("{}.copy()", 0.35),
    ("copy.deepcopy({})", 0.25),
    ("set({})", 0.12),
    ("tuple({})", 0.12),
    ("copy.copy({})", 0.12),
)


@on_statement
def copy_value(site: Site, node: ast.stmt) -> Iterator[Proposal]:
    """A stored, returned or received object copied, so that two owners do not share it."""
    value = getattr(node, "value", None)
    if not isinstance(node, ast.Return | ast.Assign | ast.AnnAssign) or not isinstance(
        value, ast.Name | ast.Attribute | ast.Subscript
    ):
        return
    text = site.code(value)
    for pattern, weight in _COPIES:
        if "copy." in pattern and "copy" not in site.globals:
            imported = import_edit(site, "import copy")
            made = site.replace(value, pattern.format(text), "copy:deep", weight * 0.8)
            if imported is not None:
                yield Proposal((imported.edits[0], *made.edits), "copy:deep", weight * 0.8)
            continue
        operator = "copy:deep" if "deep" in pattern else "copy:shallow"
        yield site.replace(value, pattern.format(text), operator, weight)


@on(ast.Call)
def deep_for_shallow(site: Site, node: ast.Call) -> Iterator[Proposal]:
    """A shallow copy made deep."""
    text = None
    if (
        isinstance(node.func, ast.Attribute)
        and node.func.attr == "copy"
        and not node.args
        and not isinstance(site.source.parents.get(node), ast.Expr)
    ):
        text = site.code(node.func.value)
    elif (
        isinstance(node.func, ast.Name)
        and node.func.id in ("dict", "list")
        and len(node.args) == 1
        and not node.keywords
    ):
        text = site.code(node.args[0])
    elif (
        isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "copy"
        and node.func.attr == "copy"
    ):
        yield site.replace(node.func, "copy.deepcopy", "copy:deep", 0.7)
    if text is not None:
        made = site.replace(node, f"copy.deepcopy({text})", "copy:deep", 0.4)
        if "copy" in site.globals:
            yield made
        elif "deepcopy" in site.globals:
            yield site.replace(node, f"deepcopy({text})", "copy:deep", 0.5)
        elif (imported := import_edit(site, "import copy")) is not None:
            yield Proposal((imported.edits[0], *made.edits), "copy:deep", 0.4)
        yield site.replace(node, f"{{key: list(value) for key, value in {text}.items()}}", "copy:deep", 0.1)
        yield site.replace(node, f"[list(item) for item in {text}]", "copy:deep", 0.1)


@on(ast.BinOp)
def repeated_list(site: Site, node: ast.BinOp) -> Iterator[Proposal]:
    """`[[...]] * n` shares one inner list."""
    if isinstance(node.op, ast.Mult) and isinstance(node.left, ast.List) and len(node.left.elts) == 1:
        inner = node.left.elts[0]
        if not isinstance(inner, ast.Constant):
            yield site.replace(
                node, f"[{site.code(inner)} for _ in range({site.code(node.right)})]", "copy:repeat", 0.85
            )


@on(ast.Call)
def shared_default(site: Site, node: ast.Call) -> Iterator[Proposal]:
    """`dict.fromkeys(keys, [])` shares one value."""
    if isinstance(node.func, ast.Attribute) and node.func.attr == "fromkeys" and len(node.args) == 2:
        yield site.replace(
            node, f"{{key: {site.code(node.args[1])} for key in {site.code(node.args[0])}}}", "copy:repeat", 0.8
        )


@on(ast.Dict)
def dictionary(site: Site, node: ast.Dict) -> Iterator[Proposal]:
    """Values exchanged between neighbours, and keys that hold a variable of the same name."""
    for i in range(len(node.values) - 1):
        one, other = node.values[i], node.values[i + 1]
        if type(one) is type(other) and site.code(one) != site.code(other):
            start, end = site.source.span(one)[0], site.source.span(other)[1]
            middle = site.source.text[site.source.span(one)[1] : site.source.span(other)[0]]
            yield site.span(start, end, f"{site.code(other)}{middle}{site.code(one)}", "order:values", 0.15)
    for key, value in zip(node.keys, node.values, strict=True):
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            if key.value in site.visible(node) and site.code(value) != key.value:
                yield site.replace(value, key.value, "name:variable", 0.4)
            if site.self_name and key.value in site.fields and site.code(value) != f"{site.self_name}.{key.value}":
                yield site.replace(value, f"{site.self_name}.{key.value}", "name:field", 0.45)


@on(ast.ListComp, ast.GeneratorExp, ast.SetComp, ast.DictComp)
def comprehension(site: Site, node: ast.ListComp | ast.GeneratorExp | ast.SetComp | ast.DictComp) -> Iterator[Proposal]:
    """Filters added or removed, another element, loops exchanged, another kind of comprehension."""
    text = site.code(node)
    if isinstance(node, ast.ListComp):
        yield site.replace(node, f"{{{text[1:-1]}}}", "wrap:set", 0.3)
        yield site.replace(node, f"list(dict.fromkeys({text[1:-1]}))", "wrap:set", 0.15)
    elif isinstance(node, ast.SetComp):
        yield site.replace(node, f"[{text[1:-1]}]", "wrap:list", 0.4)
    for generator in node.generators:
        end = site.source.span(generator.iter)[1]
        for condition in generator.ifs:
            start = site.source.text.rfind("if", 0, site.source.span(condition)[0])
            yield site.span(start - 1, site.source.span(condition)[1], "", "condition:drop", 0.3)
        names = [n.id for n in ast.walk(generator.target) if isinstance(n, ast.Name)]
        if not generator.ifs:
            for name in names:
                for text, weight in (
                    (name, 0.35),
                    (f"{name} is not None", 0.35),
                    (f"{name} > 0", 0.12),
                    (f"not {name}", 0.05),
                    (f"{name}.strip()", 0.15),
                ):
                    yield site.span(end, end, f" if {text}", "condition:filter", weight)
            for text in _filters(site, set(names)):
                yield site.span(end, end, f" if {text}", "condition:filter", 0.25)
    if isinstance(node, ast.ListComp | ast.GeneratorExp) and isinstance(
        node.elt, ast.Name | ast.Attribute | ast.Subscript
    ):
        element = site.code(node.elt)
        for pattern, weight in (
            ("copy.copy({})", 0.35),
            ("copy.deepcopy({})", 0.25),
            ("dict({})", 0.25),
            ("list({})", 0.25),
            ("{}.copy()", 0.25),
            ("dataclasses.replace({})", 0.2),
        ):
            module = pattern.split(".")[0]
            made = site.replace(node.elt, pattern.format(element), "copy:element", weight)
            if module in ("copy", "dataclasses") and module not in site.globals:
                imported = import_edit(site, f"import {module}")
                if imported is not None:
                    yield Proposal((*imported.edits, *made.edits), "copy:element", weight * 0.8)
            else:
                yield made
    if isinstance(node, ast.ListComp | ast.GeneratorExp | ast.SetComp):
        for generator in node.generators:
            for name in [n.id for n in ast.walk(generator.target) if isinstance(n, ast.Name)]:
                if site.code(node.elt) != name:
                    yield site.replace(node.elt, name, "name:element", 0.3)
    if isinstance(node, ast.DictComp):
        yield site.span(
            site.source.span(node.key)[0],
            site.source.span(node.value)[1],
            f"{site.code(node.value)}: {site.code(node.key)}",
            "order:values",
            0.3,
        )
    if len(node.generators) == 2:
        one, other = node.generators
        start, end = site.source.span(one.target)[0], site.source.span(other.ifs[-1] if other.ifs else other.iter)[1]
        first = f"{site.code(one.target)} in {site.code(one.iter)}"
        second = f"{site.code(other.target)} in {site.code(other.iter)}"
        if not one.ifs and not other.ifs:
            yield site.span(start, end, f"{second} for {first}", "order:loops", 0.3)


def _filters(site: Site, names: set[str]) -> list[str]:
    """Conditions used elsewhere in the file over variables of these names."""
    found = []
    for node in site.source.walk(site.source.tree):
        tests = node.ifs if isinstance(node, ast.comprehension) else [node.test] if isinstance(node, ast.If) else []
        for test in tests:
            used = {n.id for n in ast.walk(test) if isinstance(n, ast.Name)}
            if used & names and used <= names | set(site.parameters) | {"self", "len", "isinstance"}:
                found.append(site.code(test))
                if isinstance(node, ast.If):
                    found.append(
                        f"not ({site.code(test)})"
                        if not isinstance(test, ast.Name | ast.Attribute | ast.Call)
                        else f"not {site.code(test)}"
                    )
    return list(dict.fromkeys(found))[:8]
