"""Checks that are missing where tests expect an exception: a limit, or a validator that the project calls elsewhere."""

import ast
from collections.abc import Iterator

from assets.executions.engines.search.source import Function

from .base import Proposal, Site, on_statement
from .guards import message
from .imports import import_edit, module_path
from .index import Validator, simple_name
from .kinds import NUMBER

_MOST_NAMES = 6
_MOST_LIMITS = 6
_MOST_VALIDATORS = 8


@on_statement
def limit(site: Site, node: ast.stmt) -> Iterator[Proposal | None]:
    """A value outside of its limits refused: limits that the issue or the failing tests name, or a container's ends."""
    if not _in_a_function(site, node) or not site.symptoms.expected_raise:
        return
    kinds = sorted(site.symptoms.expected_raise)[:2]
    for condition, weight in dict.fromkeys(_limits(site, node)):
        for kind in kinds:
            text = f"raise {kind}({message(site, condition)})"
            yield site.before(node, [f"if {condition}:", f"    {text}"], "check:limit", weight)


def _in_a_function(site: Site, node: ast.stmt) -> bool:
    if site.function is None or isinstance(
        node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom
    ):
        return False
    return not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def _limits(site: Site, node: ast.stmt) -> Iterator[tuple[str, float]]:
    values = _values(site, node)
    for value, likely in values:
        for number in _numbers(site):
            named = 1.0 if str(number).lstrip("-") in site.symptoms.issue else 0.4
            for sign in (">=", ">", "<", "<="):
                yield f"{value} {sign} {number}", 0.16 * likely * named
        yield f"{value} < 0", 0.16 * likely
    for key, container in _looked_up(site, node):
        size = f"len({container})"
        yield f"not 0 <= {key} < {size}", 0.3
        yield f"{key} < 0 or {key} >= {size}", 0.3
        yield f"not -{size} <= {key} < {size}", 0.3
        yield f"{key} >= {size}", 0.2
        yield f"{key} < 0", 0.2


def _values(site: Site, node: ast.stmt) -> list[tuple[str, float]]:
    """Numbers that the statement reads: names, and texts that it converts."""
    found: dict[str, float] = {}
    visible = set(site.visible(node))
    for inner in site.source.own_nodes(node):
        if isinstance(inner, ast.Call) and simple_name(inner.func) in ("int", "float", "len") and len(inner.args) == 1:
            text = site.code(inner)
            if len(text) < 40 and "\n" not in text:
                found[text] = 1.2
        elif (
            isinstance(inner, ast.Name)
            and inner.id in visible
            and isinstance(inner.ctx, ast.Load)
            and site.kind(inner.id) in (None, NUMBER)
        ):
            found.setdefault(inner.id, 1.0)
    return list(found.items())[:_MOST_NAMES]


def _numbers(site: Site) -> list[int | float]:
    """The limits that issue and tests may mean, those of the issue first."""
    some = [x for x in site.symptoms.literals if isinstance(x, int | float) and not isinstance(x, bool)]
    some.sort(key=lambda x: str(x) not in site.symptoms.issue)
    return list(dict.fromkeys(some))[:_MOST_LIMITS]


def _looked_up(site: Site, node: ast.stmt) -> list[tuple[str, str]]:
    """Index names and the containers that they are for, of the statement and, for a class with a length, itself."""
    found: dict[tuple[str, str], None] = {}
    visible = set(site.visible(node))
    names = {n.id: None for n in site.source.own_nodes(node) if isinstance(n, ast.Name) and n.id in visible}
    for inner in site.source.walk(site.function) if site.function else ():
        if isinstance(inner, ast.Subscript) and isinstance(inner.slice, ast.Name) and inner.slice.id in names:
            container = site.code(inner.value)
            if len(container) < 40 and "\n" not in container:
                found[inner.slice.id, container] = None
    if site.owner is not None and site.self_name and "__len__" in site.index.members(site.owner.name)[1]:
        for name in names:
            if name != site.self_name and site.kind(name) in (None, NUMBER):
                found[name, site.self_name] = None
    return list(found)[:4]


@on_statement
def validator(site: Site, node: ast.stmt) -> Iterator[Proposal | None]:
    """A call of a function that only checks its arguments, as the project makes it elsewhere."""
    if not _in_a_function(site, node) or not site.symptoms.expected_raise:
        return
    visible = site.visible(node)
    for one in _validators(site):
        name, function, own = one.function.name, one.function, one.owner is not None
        first = [*function.args.posonlyargs, *function.args.args]
        wanted = [p.arg for p in (first[1:] if own else first)]
        weight = 0.45 if one.raises & site.symptoms.expected_raise else 0.15
        if not own and one.path != site.source.path and name not in site.globals:
            imported = import_edit(site, f"from {module_path(site.source.path, one.path)} import {name}")
        else:
            imported = None
        called = f"{site.self_name}.{name}" if own else name
        for argument, likely in _arguments(visible, wanted, function):
            made = site.before(node, [f"{called}({argument})"], "check:call", weight * likely)
            if made is not None and imported is not None:
                made = Proposal((*imported.edits, *made.edits), made.operator, made.weight)
            yield made


def _arguments(visible: list[str], wanted: list[str], function: Function) -> Iterator[tuple[str, float]]:
    if function.args.vararg is not None and not wanted:
        for name in visible[:_MOST_NAMES]:
            plural = name.endswith("s") or name == function.args.vararg.arg
            yield f"*{name}", 1.0 if plural else 0.5
            yield name, 0.5
    elif len(wanted) == 1:
        for name in visible[:_MOST_NAMES]:
            yield name, 1.0 if name == wanted[0] else 0.6
    elif 1 < len(wanted) <= 3 and set(wanted) <= set(visible):
        yield ", ".join(wanted), 1.0


def _validators(site: Site) -> list[Validator]:
    """Those that can be called here; those that raise what is expected come first."""
    name = site.owner.name if site.owner is not None and site.self_name else None
    classes = {None, name, *site.index.bases(name)} if name else {None}
    fits = [one for one in site.index.validators if one.owner in classes and one.function is not site.function]
    expected, here = site.symptoms.expected_raise, site.source.path
    fits.sort(key=lambda one: (not one.raises & expected, one.path != here, one.function.name))
    return fits[:_MOST_VALIDATORS]
