"""Java: classes, interfaces, enumerations, records and annotations, with their methods and constructors."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from assets.context.chunking.languages import readers
from assets.context.chunking.languages.tree import Found, Grammar, Reader, Source

if TYPE_CHECKING:
    from tree_sitter import Node


def _load() -> object:
    import tree_sitter_java

    return tree_sitter_java.language()


def _type(source: Source, node: "Node") -> Found:
    return _found(source, node, "class")


def _method(source: Source, node: "Node") -> Found:
    return _found(source, node, "method")


def _found(source: Source, node: "Node", kind: str) -> Found:
    name = source.text(node.child_by_field_name("name"))
    return Found(kind, name, node.child_by_field_name("body"), _after_annotations(node))


def _after_annotations(node: "Node") -> int:
    for child in node.children[:4]:
        if child.type == "modifiers":
            for modifier in child.children[:50]:
                if modifier.type not in ("annotation", "marker_annotation", "line_comment", "block_comment"):
                    return modifier.start_byte
        else:
            return child.start_byte
    return node.start_byte


READERS: Mapping[str, Reader] = {
    "class_declaration": _type,
    "interface_declaration": _type,
    "enum_declaration": _type,
    "record_declaration": _type,
    "annotation_type_declaration": _type,
    "method_declaration": _method,
    "constructor_declaration": _method,
    "compact_constructor_declaration": _method,
    "enum_body_declarations": readers.inside,
}

JAVA = Grammar("java", _load, READERS, frozenset({"line_comment", "block_comment"}))
