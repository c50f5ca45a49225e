"""Go: functions, methods under their receiver's type, and type declarations."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from assets.context.chunking.languages import readers
from assets.context.chunking.languages.tree import Found, Grammar, Inside, Reader, Source

if TYPE_CHECKING:
    from tree_sitter import Node


def _load() -> object:
    import tree_sitter_go

    return tree_sitter_go.language()


def _method(source: Source, node: "Node") -> Found:
    name = source.text(node.child_by_field_name("name"))
    owner = _receiver(source, node.child_by_field_name("receiver"))
    return Found("method", f"{owner}.{name}" if owner else name, node.child_by_field_name("body"))


def _receiver(source: Source, node: "Node | None") -> str:
    """The bare type of `(x *Type[T])`."""
    if node is None or not node.named_child_count:
        return ""
    kind = node.named_children[0].child_by_field_name("type")
    for _ in range(4):
        if kind is None or kind.type == "type_identifier":
            break
        kind = kind.child_by_field_name("type") or (kind.named_children[0] if kind.named_child_count else None)
    return source.text(kind)[:100] if kind is not None and kind.type == "type_identifier" else ""


def _types(source: Source, node: "Node") -> Found | Inside | None:
    specs = [child for child in node.named_children if child.type in ("type_spec", "type_alias")]
    return readers.whole_type(source, specs[0])._replace(start=node.start_byte) if len(specs) == 1 else Inside((node,))


READERS: Mapping[str, Reader] = {
    "function_declaration": readers.function,
    "method_declaration": _method,
    "type_declaration": _types,
    "type_spec": readers.whole_type,
}

GO = Grammar("go", _load, READERS)
