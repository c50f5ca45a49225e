"""Guards: what happens when a value is missing, an index is out of range, or a call has failed."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .base import Proposal, Site, on

if TYPE_CHECKING:
    from tree_sitter import Node

_RESULTS = ("return null", "return undefined", "return []", "return ''", "return 0", "return false", "return {}")
_DEFAULTS = ("[]", "{}", "''", "0")
_MOST_RETURNS = 5
_MOST_NAMES = 4


@on("member_expression", "subscript_expression", family="guards", language="javascript")
def optional_access(site: Site) -> Iterator[Proposal]:
    owner, member = site.get("object"), site.get("property")
    parent = site.place.parent
    if owner is None or parent is None or any(child.type == "optional_chain" for child in site.node.children):
        return
    if owner.type in ("this", "super") or _assigned(site):
        return
    named = site.text(member) in site.hints.members
    weight = 0.9 if named else 0.4 if site.hints.error == "null" else 0.12
    if member is not None:
        yield site.swap(site.node, f"{site.text(owner)}?.{site.text(member)}", "optional access", weight)
    else:
        yield site.swap(site.node, f"{site.text(owner)}?.[{site.text(site.get('index'))}]", "optional access", weight)
    if weight > 0.3:
        rest = site.program.data[owner.end_byte : site.node.end_byte].decode("utf-8", "ignore")
        for default in _DEFAULTS:
            yield site.swap(
                site.node, f"({site.text(owner)} ?? {default}){rest}", "default for what is missing", 0.5 * weight
            )


@on("return_statement", family="guards", language="javascript")
def default_result(site: Site) -> Iterator[Proposal]:
    inner = site.node.named_children[0] if site.node.named_child_count == 1 else None
    if inner is None or inner.type not in (
        "identifier",
        "member_expression",
        "subscript_expression",
        "call_expression",
    ):
        return
    text = site.text(inner)
    if len(text) < 120:
        for default in (*_DEFAULTS, "null", *site.place.function.parameters[1:3]):
            if default != text:
                yield site.swap(inner, f"{text} ?? {default}", "default result", 0.18)


@on("variable_declarator", family="guards", language="javascript")
def default_value(site: Site) -> Iterator[Proposal]:
    value = site.get("value")
    if value is not None and value.type in ("member_expression", "subscript_expression", "call_expression"):
        text = site.text(value)
        if len(text) < 120:
            for default in _DEFAULTS:
                yield site.swap(value, f"{text} ?? {default}", "default value", 0.16)


@on("formal_parameters", family="guards", language="javascript")
def default_parameter(site: Site) -> Iterator[Proposal]:
    boost = 2.0 if site.hints.error == "null" else 1.0
    for one in site.node.named_children[:8]:
        if one.type in ("identifier", "object_pattern"):
            for default in _DEFAULTS if one.type == "identifier" else ("{}",):
                yield site.swap(one, f"{site.text(one)} = {default}", "default parameter", 0.2 * boost)


@on("statement_block", family="guards", language="javascript")
def early_return(site: Site) -> Iterator[Proposal]:
    """At the beginning of a function: what it returns when a parameter is missing or empty."""
    function = site.place.function
    if function.node is None or function.node.child_by_field_name("body") != site.node or not site.node.named_children:
        return
    first = site.node.named_children[0]
    indent = _indentation(site, first)
    boost = 2.0 if site.hints.error == "null" else 1.0
    known = [text for text in function.returns if not text.startswith("return await")][:2]
    results = tuple(dict.fromkeys((*known, *_RESULTS)))[:7]
    for name in function.parameters[:_MOST_NAMES]:
        for test, weight in ((f"{name} == null", 0.3), (f"!{name}", 0.24), (f"{name}.length === 0", 0.12)):
            for rank, result in enumerate(results):
                text = f"if ({test}) {result}{site.semicolon}\n{indent}"
                yield site.insert(first.start_byte, text, "early return", weight * boost * 0.85**rank)


@on("statement_list", family="guards", language="go")
def go_early_return(site: Site) -> Iterator[Proposal]:
    """The same in Go, with the results that other `return` statements of the function have."""
    function = site.place.function
    if function.node is None or not site.node.named_children:
        return
    body = function.node.child_by_field_name("body")
    if body is None or site.place.parent != body:
        return
    first = site.node.named_children[0]
    results = _go_results(site, function.node, list(function.returns))
    boost = 2.0 if site.hints.error in ("null", "index", "zero") else 1.0
    names = function.parameters[-_MOST_NAMES:] if len(function.parameters) > _MOST_NAMES else function.parameters
    for name in names:
        for test, weight in _go_tests(site, name):
            for rank, result in enumerate(results):
                text = f"if {test} {{\n\t\t{result}\n\t}}\n\t"
                yield site.insert(first.start_byte, text, "early return", weight * boost * 0.85**rank)


def _go_tests(site: Site, name: str) -> list[tuple[str, float]]:
    weights = {"nil": 0.14, "len": 0.18, "zero": 0.12, "negative": 0.12}
    likely = {"null": "nil", "index": "len", "zero": "zero"}.get(site.hints.error)
    return [(test, 0.35 if kind == likely else weights[kind]) for kind, test in go_tests(site, name)]


def go_tests(site: Site, name: str) -> list[tuple[str, str]]:
    """Conditions under which a name of Go holds nothing, by kind, as far as its type allows them."""
    known = site.program.type_of(name, site.place.function)
    if not known or "." in known or (known[0].isupper() and known.isidentifier()):
        return [("nil", f"{name} == nil"), ("len", f"len({name}) == 0"), ("zero", f"{name} == 0")]
    if known.startswith(("[]", "map[")):
        return [("len", f"len({name}) == 0"), ("nil", f"{name} == nil")]
    if known.startswith(("*", "func", "chan", "interface")) or known in ("error", "any"):
        return [("nil", f"{name} == nil")]
    if known == "string":
        return [("len", f'{name} == ""')]
    if known == "bool":
        return [("zero", f"!{name}"), ("zero", name)]
    if known.rstrip("0123456789") in ("int", "float", "uint", "byte", "rune"):
        return [("zero", f"{name} == 0"), ("negative", f"{name} < 0"), ("negative", f"{name} <= 0")]
    return []


def _go_results(site: Site, function: "Node", returns: list[str]) -> list[str]:
    """`return` statements of the function, and one with the zero values of its results."""
    zeros = {"string": '""', "bool": "false", "error": "nil"}
    result = function.child_by_field_name("result")
    if result is None:
        return ["return"]
    types: list[str] = []
    if result.type == "parameter_list":
        for one in result.named_children[:6]:
            kind = site.text(one.child_by_field_name("type"))
            types += [kind] * max(1, len(one.children_by_field_name("name")))
    else:
        types = [site.text(result)]
    values = []
    for kind in types:
        if kind.startswith(("*", "[]", "map[", "func", "chan", "interface")) or kind == "any":
            values.append("nil")
        elif kind in zeros:
            values.append(zeros[kind])
        elif kind[:1].islower() and kind.rstrip("0123456789") in ("int", "uint", "float", "byte", "rune"):
            values.append("0")
        else:
            values.append(f"{kind}{{}}")
    short = [text for text in returns if len(text) < 60]
    return list(dict.fromkeys([f"return {', '.join(values)}", *short]))[:_MOST_RETURNS]


@on("short_var_declaration", "assignment_statement", family="guards", language="go")
def error_checked(site: Site) -> Iterator[Proposal]:
    """`if err != nil { return …, err }` after a call whose error nobody looks at."""
    left, function = site.get("left"), site.place.function
    if left is None or function.node is None or left.named_child_count == 0:
        return
    name = site.text(left.named_children[-1])
    if not name.lower().endswith("err"):
        return
    after = site.program.data[site.node.end_byte : site.node.end_byte + 80].decode("utf-8", "ignore").lstrip()
    if after.startswith(f"if {name} "):
        return
    results = _go_results(site, function.node, list(function.returns))
    zero = results[0].removesuffix("nil") + name if results[0].endswith("nil") else results[0]
    indent = site.indentation
    for result, weight in [(zero, 0.6), *((one, 0.25) for one in results[1:3])]:
        text = f"\n{indent}if {name} != nil {{\n{indent}\t{result}\n{indent}}}"
        yield site.insert(site.node.end_byte, text, "error checked", weight)


def _assigned(site: Site) -> bool:
    """Whether a node is assigned to, or part of what is."""
    inner = site.node
    for parent in reversed(site.place.above[-6:]):
        if parent.type in ("assignment_expression", "augmented_assignment_expression", "update_expression"):
            left = parent.child_by_field_name("left") or parent.child_by_field_name("argument")
            return left is not None and left.start_byte <= inner.start_byte and inner.end_byte <= left.end_byte
        if parent.type not in ("member_expression", "subscript_expression", "parenthesized_expression"):
            return parent.type == "new_expression"
    return False


def _indentation(site: Site, node: "Node") -> str:
    start = site.program.data.rfind(b"\n", 0, node.start_byte) + 1
    line = site.program.data[start : node.start_byte].decode("utf-8", "ignore")
    return line if not line.strip() else ""
