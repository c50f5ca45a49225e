"""Rust: functions, types, traits, macros, and the members of `impl` blocks under their type."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from assets.context.chunking.languages import readers
from assets.context.chunking.languages.tree import Found, Grammar, Inside, Reader, Source

if TYPE_CHECKING:
    from tree_sitter import Node


def _load() -> object:
    import tree_sitter_rust

    return tree_sitter_rust.language()


def _macro(source: Source, node: "Node") -> Found:
    return Found("function", source.text(node.child_by_field_name("name")))


def _impl(source: Source, node: "Node") -> Inside | None:
    """The definitions in an `impl` block belong to its type; the block itself is not a definition."""
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


READERS: Mapping[str, Reader] = {
    "function_item": readers.function,
    "struct_item": readers.whole_type,
    "enum_item": readers.whole_type,
    "union_item": readers.whole_type,
    "trait_item": readers.type_,
    "impl_item": _impl,
    "macro_definition": _macro,
    "mod_item": _module,
    "foreign_mod_item": readers.body,
}

RUST = Grammar("rust", _load, READERS, frozenset({"line_comment", "block_comment"}), frozenset({"attribute_item"}))
