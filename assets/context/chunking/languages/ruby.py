"""Ruby: modules, classes and methods, including those after `private` and in `class << self`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from assets.context.chunking.languages import readers
from assets.context.chunking.languages.tree import Found, Grammar, Reader, Source

if TYPE_CHECKING:
    from tree_sitter import Node


def _load() -> object:
    import tree_sitter_ruby

    return tree_sitter_ruby.language()


def _name(source: Source, node: "Node") -> str:
    return source.text(node.child_by_field_name("name")).replace("::", ".").strip(".")


def _type(source: Source, node: "Node") -> Found | None:
    name = _name(source, node)
    return Found("class", name, node.child_by_field_name("body")) if name else None


def _method(source: Source, node: "Node") -> Found | None:
    name = _name(source, node)
    return Found("function", name) if name else None


def _call(source: Source, node: "Node") -> Found | None:
    """`private def name …`, and calls with a block: tests, tasks, routes."""
    block = node.child_by_field_name("block")
    if block is not None:
        return Found("module", "", block.child_by_field_name("body"))
    arguments = node.child_by_field_name("arguments")
    if arguments is None or arguments.named_child_count != 1:
        return None
    inner = arguments.named_children[0]
    return _method(source, inner) if inner.type in ("method", "singleton_method") else None


def _assignment(source: Source, node: "Node") -> Found | None:
    """`Name = Struct.new(…) do … end`"""
    left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
    if left is None or right is None or left.type != "constant" or right.type != "call":
        return None
    block = right.child_by_field_name("block")
    body = block.child_by_field_name("body") if block is not None else None
    return Found("class", source.text(left), body) if body is not None else None


READERS: Mapping[str, Reader] = {
    "module": _type,
    "class": _type,
    "method": _method,
    "singleton_method": _method,
    "singleton_class": readers.body,
    "call": _call,
    "assignment": _assignment,
}

RUBY = Grammar("ruby", _load, READERS, one_line_headers=True)
