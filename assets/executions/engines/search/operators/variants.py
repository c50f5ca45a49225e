"""Variants of what stands there: one more choice, a condition again for another value, the class of the instance."""

import ast
import re
from collections.abc import Iterator

from .base import Proposal, Site, called_name, on

_MOST_LITERALS = 12
_MOST_SIBLINGS = 30
_PREFIXED = frozenset({"startswith", "endswith"})


def _literals(site: Site, like: ast.Constant) -> Iterator[tuple[str, float]]:
    """Code for the values of this type that issue and failing tests mention, and how likely they are meant."""
    for value in site.symptoms.literals[:_MOST_LITERALS]:
        if type(value) is not type(like.value) or value == like.value:
            continue
        if isinstance(value, str) and (len(value) > 30 or "\n" in value):
            continue
        yield repr(value), 1.0 if str(value) in site.symptoms.issue else 0.4


@on(ast.Call)
def one_more_prefix(site: Site, node: ast.Call) -> Iterator[Proposal]:
    """`x.startswith("a")` for `("a", "b")`, `isinstance(x, A)` for `(A, B)`."""
    if called_name(node) in _PREFIXED and len(node.args) == 1:
        given = node.args[0]
        if isinstance(given, ast.Constant) and isinstance(given.value, str):
            for text, likely in _literals(site, given):
                yield site.replace(given, f"({site.code(given)}, {text})", "condition:values", 0.3 * likely)
        elif isinstance(given, ast.Name | ast.Attribute):
            for value in site.symptoms.literals[:_MOST_LITERALS]:
                if isinstance(value, str) and value and len(value) < 30:
                    yield site.replace(given, f"({site.code(given)}, {value!r})", "condition:values", 0.06)
    elif called_name(node) in ("isinstance", "issubclass") and len(node.args) == 2:
        kinds = node.args[1]
        known = [site.code(e) for e in kinds.elts] if isinstance(kinds, ast.Tuple) else [site.code(kinds)]
        for name, likely in (*_kinds(site), *_siblings(site, kinds)):
            if name not in known:
                yield site.replace(kinds, f"({', '.join([*known, name])})", "condition:values", 0.3 * likely)
        if isinstance(kinds, ast.Tuple) and len(known) > 1:
            for i in range(len(known)):
                rest = [one for j, one in enumerate(known) if j != i]
                text = f"({', '.join(rest)})" if len(rest) > 1 else rest[0]
                yield site.replace(kinds, text, "condition:values", 0.15)


_COMMON_KINDS = ("str", "bytes", "int", "float", "bool", "list", "tuple", "dict", "set")


def _kinds(site: Site) -> Iterator[tuple[str, float]]:
    """Types that a check may also mean: those that tests and issue name, those checked elsewhere, the usual ones."""
    seen: set[str] = set()
    for node in site.source.walk(site.source.tree):
        if isinstance(node, ast.Call) and called_name(node) == "isinstance" and len(node.args) == 2:
            kinds = node.args[1]
            for one in kinds.elts if isinstance(kinds, ast.Tuple) else [kinds]:
                if isinstance(one, ast.Name | ast.Attribute) and site.code(one) not in seen:
                    seen.add(site.code(one))
                    yield site.code(one), 1.0 if site.code(one) in site.symptoms.names else 0.5
    for name in (*_COMMON_KINDS, *[n for n in site.globals if n in site.index.classes][:10]):
        if name not in seen:
            seen.add(name)
            yield name, 0.8 if name in site.symptoms.names else 0.3


def _siblings(site: Site, kinds: ast.expr) -> Iterator[tuple[str, float]]:
    """Classes of the module that the checked ones come from (`nodes.List` beside `nodes.Tuple`), as far as the file
    names them; those that issue or tests speak of first."""
    first = kinds.elts[0] if isinstance(kinds, ast.Tuple) and kinds.elts else kinds
    if not isinstance(first, ast.Attribute) or not isinstance(first.value, ast.Name):
        return
    module, seen = first.value.id, set[str]()
    said = {name.lower() for name in site.symptoms.names} | set(re.findall(r"[a-z]+", site.symptoms.issue.lower()))
    for node in site.source.walk(site.source.tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == module:
            seen.update([node.attr] if node.attr[:1].isupper() else [])
        elif isinstance(node, ast.FunctionDef) and (match := re.fullmatch(r"visit_([A-Z]\w*)", node.name)):
            seen.add(match[1])
    for name in sorted(seen, key=lambda one: (one.lower() not in said, one))[:_MOST_SIBLINGS]:
        yield f"{module}.{name}", 1.0 if name.lower() in said else 0.3


@on(ast.List, ast.Set, ast.Tuple)
def one_more_element(site: Site, node: ast.List | ast.Set | ast.Tuple) -> Iterator[Proposal]:
    """A display of constants with one more that issue or tests mention, or one less."""
    if not isinstance(getattr(node, "ctx", ast.Load()), ast.Load) or len(node.elts) < 2:
        return
    last = node.elts[-1]
    if not all(isinstance(e, ast.Constant) for e in node.elts) or not isinstance(last, ast.Constant):
        return
    if isinstance(site.source.parents.get(node), ast.Compare):
        return  # `membership_test` does this
    held = {repr(e.value) for e in node.elts if isinstance(e, ast.Constant)}
    end = site.source.span(last)[1]
    for text, likely in _literals(site, last):
        if text not in held:
            yield site.span(end, end, f", {text}", "condition:values", 0.25 * likely)


@on(ast.Compare, ast.Call)
def condition_again(site: Site, node: ast.expr) -> Iterator[Proposal]:
    """`a(x)` as `a(x) and a(y)` or `a(x) or a(y)`: a condition once more with another constant, or at the other end."""
    parent = site.source.parents.get(node)
    around = site.source.parents.get(parent) if isinstance(parent, ast.UnaryOp) and parent is not None else parent
    whole = parent if isinstance(parent, ast.UnaryOp) and isinstance(parent.op, ast.Not) else node
    if not isinstance(around, ast.BoolOp | ast.If | ast.IfExp | ast.While | ast.comprehension | ast.Return):
        return
    if isinstance(node, ast.Call) and called_name(node) not in (*_PREFIXED, "isinstance", "hasattr", "match"):
        return
    text = site.code(whole)
    if "\n" in text or len(text) > 80:
        return
    for variant, likely in _again(site, node, whole, text):
        words = {"and", "or"} if not isinstance(around, ast.BoolOp) else {
            "and" if isinstance(around.op, ast.And) else "or"}  # fmt: skip
        for word in sorted(words):
            made = f"{text} {word} {variant}"
            single = isinstance(around, ast.BoolOp | ast.If | ast.While | ast.Return) or word == "and"
            yield site.replace(whole, made if single else f"({made})", "condition:again", 0.3 * likely)


def _again(site: Site, node: ast.expr, whole: ast.expr, text: str) -> Iterator[tuple[str, float]]:
    start = site.source.span(whole)[0]
    for inner in ast.walk(node):
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str | int) and not isinstance(inner.value, bool):
            a, b = site.source.span(inner)
            for other, likely in _literals(site, inner):
                yield text[: a - start] + other + text[b - start :], 0.7 * likely
    for found in re.finditer(r"\[:(\d+)\]", text):
        yield text[: found.start()] + f"[-{found[1]}:]" + text[found.end() :], 0.5
    for one, other in ((".startswith(", ".endswith("), (".endswith(", ".startswith(")):
        if one in text:
            yield text.replace(one, other, 1), 0.5


@on(ast.Name)
def class_of_the_instance(site: Site, node: ast.Name) -> Iterator[Proposal]:
    """The class around a method by its name, where a subclass's own is meant, or the other way round."""
    if site.owner is None or not isinstance(node.ctx, ast.Load) or site.self_name is None:
        return
    parent = site.source.parents.get(node)
    if isinstance(parent, ast.Call) and called_name(parent) in ("super", "isinstance", "issubclass"):
        return
    if node.id == site.owner.name:
        if site.self_name == "cls":
            yield site.replace(node, "cls", "name:class", 0.4)
        else:
            yield site.replace(node, f"type({site.self_name})", "name:class", 0.35)
            yield site.replace(node, f"{site.self_name}.__class__", "name:class", 0.35)
    elif node.id == "cls" and site.self_name == "cls":
        yield site.replace(node, site.owner.name, "name:class", 0.1)
