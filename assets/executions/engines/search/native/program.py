"""One file's syntax tree as operators see it: text, functions, and the names that are known at a place."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from core.syntax_trees import parse

from .syntaxes import Syntax

if TYPE_CHECKING:
    from tree_sitter import Node, Tree

MOST_NODES = 250_000
"""A file with more nodes is left alone, and so is one with deeper ones."""
MOST_DEPTH = 500
_MOST_ABOVE = 13
_MOST_NAMES = 60
_MOST_PROPERTIES = 400
_LITERALS = {
    "int_literal": "int", "float_literal": "float64", "interpreted_string_literal": "string",
    "raw_string_literal": "string", "rune_literal": "rune", "true": "bool", "false": "bool",
}  # fmt: skip
_PARAMETERS = ("formal_parameters", "parameter_list")


class Unparsed(ValueError):
    """A file that is too large, whose syntax is broken, or whose parsing takes too long."""


@dataclass
class Function:
    """A function, method or closure; the file itself is one without a node. `values` and `callables` are the names that
    it declares, in order; `conditions` and `returns` are the texts of its own ones."""

    node: "Node | None"
    outer: "Function | None"
    name: str = ""
    values: dict[str, int] = field(default_factory=dict)
    callables: dict[str, int] = field(default_factory=dict)
    parameters: list[str] = field(default_factory=list)
    conditions: dict[str, None] = field(default_factory=dict)
    returns: dict[str, None] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    """Types of names where they are written down, in Go only."""
    waits: bool = False
    """Whether it is `async`."""

    @property
    def chain(self) -> Iterator["Function"]:
        at: Function | None = self
        while at is not None:
            yield at
            at = at.outer


@dataclass(frozen=True, slots=True)
class Place:
    """A node with its nearest ancestors, innermost last, and the function that it is in."""

    node: "Node"
    above: "tuple[Node, ...]"
    function: Function

    @property
    def parent(self) -> "Node | None":
        return self.above[-1] if self.above else None


class Program:
    """A parsed file. Raises `Unparsed`."""

    def __init__(self, syntax: Syntax, data: bytes) -> None:
        self.syntax, self.data = syntax, data
        tree = parse(syntax.load, data)
        if tree is None:
            raise Unparsed("it cannot be parsed within the bounds")
        if tree.root_node.has_error:
            raise Unparsed("its syntax is broken")
        self._tree: Tree = tree
        self.file = Function(None, None)
        self.places: list[Place] = []
        """Every named node in the order of the text, without what is not executed."""
        self.properties: dict[str, int] = {}
        """Names of members with how often they are used."""
        self._like: dict[str, list[str]] = {}
        self._close: dict[str, list[str]] = {}
        self._read()

    def text(self, node: "Node | None") -> str:
        return self.data[node.start_byte : node.end_byte].decode("utf-8", "ignore") if node is not None else ""

    def _read(self) -> None:
        stack: list[tuple[Node, tuple[Node, ...], Function, int]] = [(self._tree.root_node, (), self.file, 0)]
        while stack:
            node, above, function, depth = stack.pop()
            kind = node.type
            if kind in self.syntax.types or kind in self.syntax.comments:
                continue
            if len(self.places) >= MOST_NODES or depth > MOST_DEPTH:
                raise Unparsed("it is too large")
            self.places.append(Place(node, above, function))
            inner = self._entered(node, function)
            self._note(node, above, inner)
            ancestors = (*above[1 - _MOST_ABOVE :], node)
            stack.extend((child, ancestors, inner, depth + 1) for child in reversed(node.named_children))

    def _entered(self, node: "Node", function: Function) -> Function:
        if node.type not in self.syntax.functions:
            return function
        waits = any(child.type == "async" for child in node.children[:3])
        made = Function(node, function, self.text(node.child_by_field_name("name")), waits=waits)
        if made.name:
            function.callables.setdefault(made.name, node.start_byte)
        return made

    def _note(self, node: "Node", above: "tuple[Node, ...]", function: Function) -> None:
        """Remembers what a node declares, and conditions, returned values and members."""
        kind = node.type
        if kind in ("identifier", "shorthand_property_identifier_pattern") and is_declared(self.syntax, node, above):
            self._declare(node, above, function)
        elif kind in ("property_identifier", "field_identifier"):
            name = self.text(node)
            self.properties[name] = self.properties.get(name, 0) + 1
        elif kind == "return_statement":
            if len(text := self.text(node)) < 120:
                function.returns.setdefault(text.removesuffix(";"))
        elif kind in ("if_statement", "while_statement", "ternary_expression"):
            condition = bare(node.child_by_field_name("condition"))
            if condition is not None and condition.end_byte - condition.start_byte < 80:
                function.conditions.setdefault(self.text(condition))

    def _declare(self, node: "Node", above: "tuple[Node, ...]", function: Function) -> None:
        name = self.text(node)
        if name == "_" or len(name) > 80:
            return
        parent = above[-1] if above else None
        if parent is not None and parent.type == "variable_declarator":
            value = parent.child_by_field_name("value")
            if value is not None and value.type in self.syntax.functions:
                function.callables.setdefault(name, node.start_byte)
                return
        if any(one.type in _PARAMETERS for one in above[-4:]) or (
            parent is not None and parent.type == "arrow_function"
        ):
            function.parameters.append(name)
        if len(function.values) < _MOST_NAMES:
            function.values.setdefault(name, node.start_byte)
            if self.syntax.family == "go" and (kind := self._type(node, above)):
                function.types.setdefault(name, kind)

    def _type(self, node: "Node", above: "tuple[Node, ...]") -> str:
        """The type that a declaration in Go shows; empty for none."""
        for parent in reversed(above[-3:]):
            kind = parent.child_by_field_name("type")
            if kind is not None and parent.type.endswith(("parameter_declaration", "_spec")):
                return ("[]" if parent.type.startswith("variadic") else "") + self.text(kind)[:80]
            if parent.type == "short_var_declaration":
                return self._shown_type(node, parent)
        return ""

    def _shown_type(self, node: "Node", declaration: "Node") -> str:
        left, right = declaration.child_by_field_name("left"), declaration.child_by_field_name("right")
        if left is None or right is None or left.named_child_count != right.named_child_count:
            return ""
        value = right.named_children[left.named_children.index(node)] if node in left.named_children else None
        if value is None:
            return ""
        if value.type in _LITERALS:
            return _LITERALS[value.type]
        if value.type == "composite_literal":
            return self.text(value.child_by_field_name("type"))[:80]
        if value.type == "call_expression":
            called = self.text(value.child_by_field_name("function"))
            first = value.child_by_field_name("arguments")
            if called == "len":
                return "int"
            if called == "make" and first is not None and first.named_children:
                return self.text(first.named_children[0])[:80]
        return ""

    def type_of(self, name: str, function: Function) -> str:
        """The type of a name as far as it is written down; empty when it is not known."""
        return next((one.types.get(name, "") for one in function.chain if name in one.values), "")

    def like(self, name: str, most: int = 8) -> list[str]:
        """The names of other members that are most like this one, the more frequent first among equals."""
        if name not in self._like:
            matcher = difflib.SequenceMatcher(b=name.lower(), autojunk=False)
            scored = []
            for other, count in list(self.properties.items())[:_MOST_PROPERTIES]:
                if other != name:
                    matcher.set_seq1(other.lower())
                    scored.append((-matcher.quick_ratio(), -count, other))
            self._like[name] = [other for _, _, other in sorted(scored)[:most]]
        return self._like[name]

    def close(self, name: str, names: frozenset[str]) -> list[str]:
        """Up to three of `names`, the same at each call, that are much like this one and no member's."""
        if name not in self._close:
            others = sorted(names - set(self.properties))[:_MOST_PROPERTIES]
            self._close[name] = difflib.get_close_matches(name, others, 3, 0.7)
        return self._close[name]

    @cached_property
    def imported(self) -> frozenset[str]:
        """The names of imported packages, in Go the last parts of their paths."""
        found = set()
        for child in self._tree.root_node.named_children[:200]:
            if child.type == "import_declaration":
                for word in self.text(child).replace("(", " ").split('"')[1::2]:
                    found.add(word.rpartition("/")[2])
        return frozenset(found)


def is_declared(syntax: Syntax, node: "Node", above: "tuple[Node, ...]") -> bool:
    """Whether a name is declared here, not used."""
    inner = node
    for parent in reversed(above[-6:]):
        fields = syntax.declares.get(parent.type)
        if fields is not None:
            return any(
                inner.start_byte >= one.start_byte and inner.end_byte <= one.end_byte
                for name in fields
                for one in parent.children_by_field_name(name)
            )
        if parent.type in _PARAMETERS:
            return True
        if parent.type in ("assignment_pattern", "object_assignment_pattern"):
            left = parent.child_by_field_name("left")
            if left is None or inner.end_byte > left.end_byte:
                return False
        elif parent.type not in ("expression_list", "object_pattern", "array_pattern", "rest_pattern", "pair_pattern"):
            return False
        inner = parent
    return False


def bare(node: "Node | None") -> "Node | None":
    """An expression without the parentheses around it."""
    while node is not None and node.type == "parenthesized_expression" and node.named_child_count == 1:
        node = node.named_children[0]
    return node
