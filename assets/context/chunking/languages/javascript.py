"""JavaScript and JSX: functions, classes, named arrow functions, object methods, and functions that wrap a module.

Calls such as `describe` and `it` define nothing: they are module code, but each long one is a segment of its own.
TypeScript extends these readers.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from assets.context.chunking.languages import readers
from assets.context.chunking.languages.tree import Found, Grammar, Inside, Reader, Source

if TYPE_CHECKING:
    from tree_sitter import Node

_FUNCTIONS = frozenset({"arrow_function", "function_expression", "generator_function", "function"})
_WRAPPERS = frozenset({"parenthesized_expression", "as_expression", "satisfies_expression", "non_null_expression"})
_GLOBALS = ("window.", "self.", "globalThis.", "global.", "module.", "exports.", "this.", "root.")


def _load() -> object:
    import tree_sitter_javascript

    return tree_sitter_javascript.language()


def method(source: Source, node: "Node") -> Found | None:
    name = _key(source, node.child_by_field_name("name"))
    return Found("method", name, node.child_by_field_name("body")) if name else None


def _key(source: Source, node: "Node | None") -> str:
    """A property's name; empty for a computed one."""
    if node is None or node.type == "computed_property_name":
        return ""
    return source.text(node).strip("'\"#").replace(".", "_")


def value(source: Source, name: str, node: "Node | None") -> Found | None:
    """The definition of a name that is bound to a function, a class or an object with functions, else None."""
    while node is not None and node.type in _WRAPPERS:
        node = node.named_children[0] if node.named_child_count else None
    if node is None or not name:
        return None
    if node.type in _FUNCTIONS:
        return Found("function", name, node.child_by_field_name("body"))
    if node.type == "class":
        return Found("class", name, node.child_by_field_name("body"))
    if node.type == "object" and any(_holds_function(child) for child in node.named_children):
        return Found("class", name, node)
    if node.type == "call_expression":  # memo(() => …), forwardRef(function …)
        for argument in _arguments(node):
            if argument.type in _FUNCTIONS and argument.end_point[0] > argument.start_point[0]:
                return Found("function", name, argument.child_by_field_name("body"))
    return None


def _holds_function(node: "Node", depth: int = 2) -> bool:
    if node.type != "pair":
        return node.type == "method_definition"
    bound = node.child_by_field_name("value")
    if bound is None or bound.end_point[0] == bound.start_point[0]:
        return False
    if bound.type == "object" and depth:
        return any(_holds_function(child, depth - 1) for child in bound.named_children)
    return bound.type in _FUNCTIONS


def _arguments(call: "Node") -> Sequence["Node"]:
    arguments = call.child_by_field_name("arguments")
    return arguments.named_children[:8] if arguments is not None and arguments.child_count < 100 else ()


def declarator(source: Source, node: "Node") -> Found | None:
    name = node.child_by_field_name("name")
    if name is None or name.type != "identifier":
        return None
    return value(source, source.text(name), node.child_by_field_name("value"))


def declaration(source: Source, node: "Node") -> Found | Inside | None:
    declarators = [child for child in node.named_children if child.type == "variable_declarator"]
    return declarator(source, declarators[0]) if len(declarators) == 1 else Inside((node,))


def pair(source: Source, node: "Node") -> Found | None:
    return value(source, _key(source, node.child_by_field_name("key")), node.child_by_field_name("value"))


def field(source: Source, node: "Node") -> Found | None:
    key = node.child_by_field_name("property") or node.child_by_field_name("name")
    return value(source, _key(source, key), node.child_by_field_name("value"))


def export(source: Source, node: "Node") -> Found | Inside | None:
    inner = node.child_by_field_name("declaration")
    if inner is not None:
        reader = _exported.get(inner.type)
        what = reader(source, inner) if reader else None
        if isinstance(what, Found):
            return what._replace(name=what.name or "default", start=_after_decorators(node))
        return what
    bound = node.child_by_field_name("value")
    if bound is None:
        return None
    named = bound.child_by_field_name("name") if bound.type in _FUNCTIONS or bound.type == "class" else None
    return value(source, source.text(named) or "default", bound)


def _after_decorators(node: "Node") -> int:
    for child in node.children[:50]:
        if child.type not in ("decorator", "comment"):
            return child.start_byte
    return node.start_byte


def decorated(source: Source, node: "Node") -> Found:
    """A class whose decorators are its first children."""
    return readers.type_(source, node)._replace(start=_after_decorators(node))


def expression(source: Source, node: "Node") -> Found | Inside | None:
    """`exports.name = function …`, `Type.prototype.name = …`, functions that only wrap a module, and calls with a
    function as argument: tests, routes, handlers."""
    inner = node.named_children[0] if node.named_child_count else None
    if inner is None:
        return None
    if inner.type == "assignment_expression":
        return _assignment(source, inner)
    while inner.type in ("parenthesized_expression", "unary_expression") and inner.named_child_count:
        inner = inner.named_children[0]
    if inner.type == "internal_module":  # TypeScript's `namespace`
        body = inner.child_by_field_name("body")
        return Inside((body,), source.text(inner.child_by_field_name("name"))) if body is not None else None
    if inner.type != "call_expression":
        return None
    arguments = [argument for argument in _arguments(inner) if argument.type in _FUNCTIONS]
    called = inner.child_by_field_name("function")
    while called is not None and called.type in ("parenthesized_expression", "member_expression"):
        called = called.named_children[0] if called.named_child_count else None
    if called is not None and (called.type in _FUNCTIONS or source.text(called) == "define"):
        wrappers = [called, *arguments] if called.type in _FUNCTIONS else arguments
        return Inside([body for one in wrappers if (body := one.child_by_field_name("body")) is not None])
    return Found("module", "", arguments[-1].child_by_field_name("body")) if arguments else None


def _assignment(source: Source, node: "Node") -> Found | Inside | None:
    left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
    while right is not None and right.type == "assignment_expression":
        right = right.child_by_field_name("right")
    if left is None or right is None or left.type not in ("member_expression", "identifier"):
        return None
    if left.end_byte - left.start_byte > 200:
        return None
    name = "".join(source.text(left).split())
    while name.startswith(_GLOBALS) and name != "module.exports":
        name = name.partition(".")[2]
    if name in ("exports", "module.exports"):
        if right.type == "object":
            return Inside((right,))
        named = right.child_by_field_name("name") if right.type in _FUNCTIONS or right.type == "class" else None
        name = source.text(named) or "exports"
    owner, prototype, rest = name.partition(".prototype")
    if prototype:
        name = f"{owner}{rest}"
    found = value(source, name, right)
    return found._replace(kind="method") if found and found.kind == "function" and "." in name else found


READERS: Mapping[str, Reader] = {
    "function_declaration": readers.function,
    "generator_function_declaration": readers.function,
    "class_declaration": decorated,
    "method_definition": method,
    "field_definition": field,
    "lexical_declaration": declaration,
    "variable_declaration": declaration,
    "variable_declarator": declarator,
    "pair": pair,
    "export_statement": export,
    "expression_statement": expression,
    "statement_block": readers.inside,  # what is left of a function whose header could not be parsed
}

_exported: dict[str, Reader] = dict(READERS)

JAVASCRIPT = Grammar("javascript", _load, READERS, frozenset({"comment", "html_comment"}), frozenset({"decorator"}))
