"""TypeScript and TSX: JavaScript's definitions, interfaces, enumerations, namespaces, type aliases of 3+ lines."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from assets.context.chunking.languages import javascript, readers
from assets.context.chunking.languages.tree import Found, Grammar, Inside, Reader, Source

if TYPE_CHECKING:
    from tree_sitter import Node


def _load() -> object:
    import tree_sitter_typescript

    return tree_sitter_typescript.language_typescript()


def _load_tsx() -> object:
    import tree_sitter_typescript

    return tree_sitter_typescript.language_tsx()


def _alias(source: Source, node: "Node") -> Found | None:
    if node.end_point[0] - node.start_point[0] < 2:
        return None
    return readers.whole_type(source, node)


def _module(source: Source, node: "Node") -> Inside | None:
    body = node.child_by_field_name("body")
    return Inside((body,), source.text(node.child_by_field_name("name")).strip("'\"")) if body is not None else None


def _ambient(source: Source, node: "Node") -> Found | Inside | None:
    """`declare …`"""
    for child in node.named_children[:4]:
        if child.type == "statement_block":
            return Inside((child,))
        if child.type in READERS:
            return READERS[child.type](source, child)
    return None


def _export(source: Source, node: "Node") -> Found | Inside | None:
    inner = node.child_by_field_name("declaration")
    reader = _OWN.get(inner.type) if inner is not None else None
    if inner is None or reader is None:
        return javascript.export(source, node)
    found = reader(source, inner)
    return found._replace(start=node.start_byte) if isinstance(found, Found) else found


_OWN: Mapping[str, Reader] = {
    "abstract_class_declaration": javascript.decorated,
    "interface_declaration": readers.whole_type,
    "enum_declaration": readers.whole_type,
    "type_alias_declaration": _alias,
    "module": _module,
    "internal_module": _module,
    "ambient_declaration": _ambient,
    "public_field_definition": javascript.field,
}

READERS: Mapping[str, Reader] = {**javascript.READERS, **_OWN, "export_statement": _export}

TYPESCRIPT = Grammar("typescript", _load, READERS, leading=frozenset({"decorator"}))
TSX = Grammar("tsx", _load_tsx, READERS, leading=frozenset({"decorator"}))
