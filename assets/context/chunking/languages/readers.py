"""Readers of syntax nodes that several grammars share. A node's fields are `name` and `body`."""

from typing import TYPE_CHECKING

from assets.context.chunking.languages.tree import Found, Inside, Source

if TYPE_CHECKING:
    from tree_sitter import Node


def function(source: Source, node: "Node") -> Found:
    return Found("function", source.text(node.child_by_field_name("name")), node.child_by_field_name("body"))


def type_(source: Source, node: "Node") -> Found:
    return Found("class", source.text(node.child_by_field_name("name")), node.child_by_field_name("body"))


def whole_type(source: Source, node: "Node") -> Found:
    """A type that is one segment: its members are only useful together."""
    return Found("class", source.text(node.child_by_field_name("name")))


def inside(source: Source, node: "Node") -> Inside:
    """A node that defines nothing itself, but may contain definitions."""
    return Inside((node,))


def body(source: Source, node: "Node") -> Inside | None:
    """A node that defines nothing itself, but whose body may contain definitions."""
    inner = node.child_by_field_name("body")
    return Inside((inner,)) if inner is not None else None
