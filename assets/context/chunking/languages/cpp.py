"""C++: C's definitions, and classes, namespaces, templates and members defined outside their class."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from assets.context.chunking.languages import c
from assets.context.chunking.languages.tree import Found, Grammar, Inside, Reader, Source
from assets.context.chunking.segment import Segment

if TYPE_CHECKING:
    from tree_sitter import Node


def _load() -> object:
    import tree_sitter_cpp

    return tree_sitter_cpp.language()


def _function(source: Source, node: "Node") -> Found | None:
    found = c.function(source, node)
    if found is None or "." not in found.name:
        return found
    return found._replace(kind="method")  # `Type::name` outside the class is a method of the type


def _namespace(source: Source, node: "Node") -> Inside | None:
    body = node.child_by_field_name("body")
    name = "".join(source.text(node.child_by_field_name("name")).split()).replace("::", ".")
    return Inside((body,), name) if body is not None else None


def _template(source: Source, node: "Node") -> Found | Inside | None:
    for child in node.named_children[1:6]:
        reader = READERS.get(child.type)
        if reader is not None:
            found = reader(source, child)
            return found._replace(start=node.start_byte) if isinstance(found, Found) else found
    return None


READERS: Mapping[str, Reader] = {
    **c.READERS,
    "function_definition": _function,
    "class_specifier": c.type_,
    "field_declaration": c.declaration,
    "template_declaration": _template,
    "namespace_definition": _namespace,
}

CPP = Grammar("cpp", _load, READERS, prepare=c.blank_macros)

_ONLY_CPP = re.compile(
    r"^[ \t]*(?:(?:class|namespace|template|using|virtual|public|private|protected)\b|#[ \t]*include[ \t]*<\w+>)"
    r"|\b(?:constexpr|nullptr)\b|\bstd::"
)


def header_segments(lines: Sequence[str]) -> list[Segment] | None:
    """A `.h` file is cut as C++ if any of its lines can only be C++, else as C."""
    grammar = CPP if any(map(_ONLY_CPP.search, lines)) else c.C
    return grammar.segments(lines)
