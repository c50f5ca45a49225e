"""Rust: functions, types, traits, macros, and `impl` blocks under the type that they are for."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from assets.context.chunking.languages.tree import Found, Grammar, Inside, Reader, Source

if TYPE_CHECKING:
    from tree_sitter import Node


def _load() -> object:
    import tree_sitter_rust

    return tree_sitter_rust.language()


def _function(source: Source, node: "Node") -> Found:
    return Found("function", source.text(node.child_by_field_name("name")), node.child_by_field_name("body"))


def _leaf(source: Source, node: "Node") -> Found:
    """A struct, enumeration or union is one piece."""
    return Found("class", source.text(node.child_by_field_name("name")))


def _trait(source: Source, node: "Node") -> Found:
    return Found("class", source.text(node.child_by_field_name("name")), node.child_by_field_name("body"))


def _macro(source: Source, node: "Node") -> Found:
    return Found("function", source.text(node.child_by_field_name("name")))


def _impl(source: Source, node: "Node") -> Inside | None:
    """What an `impl` block defines belongs to its type; the block itself is no definition."""
    kind = node.child_by_field_name("type")
    for _ in range(6):
        if kind is None or kind.type in ("type_identifier", "primitive_type"):
            break
        inner = kind.child_by_field_name("type") or kind.child_by_field_name("name")
        kind = inner or (kind.named_children[-1] if kind.named_child_count else None)
    body = node.child_by_field_name("body")
    name = source.text(kind) if kind is not None and kind.end_byte - kind.start_byte <= 100 else ""
    return Inside((body,), name or "impl", members=True) if body is not None else None


def _module(source: Source, node: "Node") -> Inside | None:
    body = node.child_by_field_name("body")
    return Inside((body,), source.text(node.child_by_field_name("name"))) if body is not None else None


def _foreign(source: Source, node: "Node") -> Inside | None:
    body = node.child_by_field_name("body")
    return Inside((body,)) if body is not None else None


READERS: Mapping[str, Reader] = {
    "function_item": _function,
    "struct_item": _leaf,
    "enum_item": _leaf,
    "union_item": _leaf,
    "trait_item": _trait,
    "impl_item": _impl,
    "macro_definition": _macro,
    "mod_item": _module,
    "foreign_mod_item": _foreign,
}

RUST = Grammar("rust", _load, READERS, frozenset({"line_comment", "block_comment"}), frozenset({"attribute_item"}))
