"""C: functions, structs, unions, enumerations and macros of several lines. C++ extends these readers.

A prototype is not a definition: it stays part of the surrounding code.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from assets.context.chunking.languages import readers
from assets.context.chunking.languages.tree import Found, Grammar, Inside, Reader, Source

if TYPE_CHECKING:
    from tree_sitter import Node

_TYPES = frozenset({"struct_specifier", "union_specifier", "enum_specifier", "class_specifier"})
_NAMES = frozenset(
    {
        "identifier",
        "field_identifier",
        "type_identifier",
        "qualified_identifier",
        "destructor_name",
        "operator_name",
        "operator_cast",
        "template_function",
        "template_type",
    }
)
_WORD = re.compile(r"\w+")
_NAME = 200
_MACRO_LINE = re.compile(rb"(\n[ \t]*)[A-Z][A-Z0-9_]{3,}(?:\([^()\n]{0,200}\))?(?=[ \t]*\r?\n)")
_MACRO_IN_HEAD = re.compile(rb"(\b(?:class|struct)[ \t]+)[A-Z][A-Z0-9_]{3,}(?:\([^()\n]{0,200}\))?(?=[ \t]+[A-Za-z_])")


def _load() -> object:
    import tree_sitter_c

    return tree_sitter_c.language()


def declared(source: Source, node: "Node | None") -> str:
    """The name inside a declarator, with dots for `::` and without template arguments."""
    for _ in range(12):
        if node is None or node.type in _NAMES:
            break
        inner = node.child_by_field_name("declarator")
        if inner is None:
            inner = next((child for child in node.named_children[:8] if child.type.endswith(_DECLARATORS)), None)
        node = inner
    return dotted(source, node) if node is not None and node.type in _NAMES else ""


_DECLARATORS = ("declarator", "identifier", "_name", "operator_cast")


def dotted(source: Source, node: "Node | None") -> str:
    parts: list[str] = []
    for _ in range(12):
        if node is None:
            break
        if node.type == "qualified_identifier":
            parts.append(_bare(source, node.child_by_field_name("scope")))
            node = node.child_by_field_name("name")
        else:
            parts.append(_bare(source, node))
            break
    return ".".join(part for part in parts if part)


def _bare(source: Source, node: "Node | None") -> str:
    if node is not None and node.type in ("template_type", "template_function"):
        node = node.child_by_field_name("name")
    if node is not None and node.type == "operator_cast":
        return "operator " + source.text(node.child_by_field_name("type"))[:80]
    return " ".join(source.text(node).split())[:120]


def function(source: Source, node: "Node") -> Found | None:
    declarator = node.child_by_field_name("declarator")
    name = declared(source, declarator)
    if name.isupper() and declarator is not None and node.child_by_field_name("type") is None:
        # `TEST(Suite, Name) { … }`: a macro defines the function, named by its arguments.
        arguments = source.text(declarator.child_by_field_name("parameters"))
        name = ".".join(_WORD.findall(arguments[:_NAME])[:3]) or name
    body = node.child_by_field_name("body")
    return Found("function", name, body) if name and body is not None else None  # not for `= default`


def type_(source: Source, node: "Node") -> Found | None:
    body = node.child_by_field_name("body")
    name = dotted(source, node.child_by_field_name("name"))
    return Found("class", name, body) if body is not None and name else None


def _blank(found: "re.Match[bytes]") -> bytes:
    return found[1] + b" " * (len(found[0]) - len(found[1]))


def blank_macros(data: bytes) -> bytes:
    """Blanks macros in places where the grammar allows nothing: alone on a line, or between `class` and its name."""
    return _MACRO_IN_HEAD.sub(_blank, _MACRO_LINE.sub(_blank, data))


def declaration(source: Source, node: "Node") -> Found | None:
    """`struct x { … } y;`"""
    kind = node.child_by_field_name("type")
    return type_(source, kind) if kind is not None and kind.type in _TYPES else None


def alias(source: Source, node: "Node") -> Found | None:
    """`typedef struct { … } name;`"""
    kind = node.child_by_field_name("type")
    if kind is None or kind.type not in _TYPES or (body := kind.child_by_field_name("body")) is None:
        return None
    name = declared(source, node.child_by_field_name("declarator")) or source.text(kind.child_by_field_name("name"))
    return Found("class", name, body) if name else None


def macro(source: Source, node: "Node") -> Found | None:
    # The node ends at the start of the line after it.
    if node.end_point[0] - node.start_point[0] < 3:
        return None
    return Found("function", source.text(node.child_by_field_name("name")))


def linkage(source: Source, node: "Node") -> Found | Inside | None:
    """`extern "C"`, before a block or a single declaration."""
    body = node.child_by_field_name("body")
    if body is None:
        return None
    if body.type == "declaration_list":
        return Inside((body,))
    return function(source, body) if body.type == "function_definition" else None


READERS: Mapping[str, Reader] = {
    "function_definition": function,
    "struct_specifier": type_,
    "union_specifier": type_,
    "enum_specifier": type_,
    "declaration": declaration,
    "type_definition": alias,
    "preproc_function_def": macro,
    "preproc_if": readers.inside,
    "preproc_ifdef": readers.inside,
    "preproc_elif": readers.inside,
    "preproc_else": readers.inside,
    "linkage_specification": linkage,
    "compound_statement": readers.inside,
}

C = Grammar("c", _load, READERS, prepare=blank_macros)
