"""Cuts a file by its tree-sitter syntax tree: finds definitions with a grammar's readers, bounded in work and depth.

A file that cannot be parsed within the bounds has no segments, and the caller falls back to windows. Error nodes
are searched for definitions like any other part of the tree.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from assets.context.chunking.languages.definitions import Definition, cover
from assets.context.chunking.segment import Segment
from core.syntax_trees import parse

if TYPE_CHECKING:
    from tree_sitter import Node

MOST_CHILDREN = 50_000
"""A node with more children is skipped: it is generated code or one long error."""

DEEPEST = 12
"""Definitions nested deeper stay part of the enclosing one."""

LONG_FUNCTION = 120
"""Lines; functions inside a longer function are segments of their own."""

LONG_BLOCK = 40
"""Lines; definitions and blocks inside a longer block of module code are segments of their own."""

WORTH_CUTTING = 8
"""Lines that a function inside a long one, or a block of module code, must exceed to be a segment of its own."""

_NAME = 200
_SIGNATURE = 1000
_DOCSTRING = 2000
_SPACE = re.compile(r"\s+")
_OPENER = re.compile(r"(?: ?(?:\{|=>|[=:;]))+$")
_LICENCE = re.compile(r"copyright|licen[cs]e|spdx", re.IGNORECASE)
_MARKS = re.compile(r"\n[ \t]*(?:/\*[*!]*|\*+/|\*(?!\*)|//[/!]*|\#+|=begin|=end)?[ \t]?")


class Source:
    """The text of a file, which the tree's nodes refer to by byte offsets."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    def text(self, node: "Node | None") -> str:
        return self.data[node.start_byte : node.end_byte].decode("utf-8", "ignore") if node else ""


class Found(NamedTuple):
    """A node that defines something: `name` may be dotted. If there is a `body`, members are read from it.

    With the kind `module` it defines nothing and has no name, but is a block of module code (a test, a route)
    that becomes a segment of its own if it is long enough.
    """

    kind: str
    name: str
    body: "Node | None" = None
    start: int | None = None
    """The byte offset of its signature, if not the node's own start."""


class Inside(NamedTuple):
    """A node that defines nothing itself, but contains `nodes` that may; `name` is added to their scope."""

    nodes: Sequence["Node"]
    name: str = ""
    members: bool = False
    """Whether functions among them are methods of `name`."""


Reader = Callable[[Source, "Node"], Found | Inside | None]


@dataclass(frozen=True)
class Grammar:
    """How a language's tree is read: `readers` by node type, `comments` the types of comments, `leading` the types of
    nodes that belong to the definition after them (attributes, decorators). Nodes of other types are not searched."""

    name: str
    load: Callable[[], object]
    readers: Mapping[str, Reader]
    comments: frozenset[str] = frozenset({"comment"})
    leading: frozenset[str] = frozenset()
    prepare: Callable[[bytes], bytes] | None = None
    """Replaces text that the grammar cannot parse with spaces, so that offsets stay the same."""
    one_line_headers: bool = False
    """Whether the signature is a definition's first line, not everything before its body."""

    def segments(self, lines: Sequence[str]) -> list[Segment] | None:
        """The file's segments in order, or None if it cannot be parsed within the bounds."""
        source = Source("\n".join(lines).encode())
        tree = parse(self.load, self.prepare(source.data) if self.prepare else source.data)
        if tree is None:
            return None
        root = tree.root_node
        if root.child_count > MOST_CHILDREN:
            return None
        definitions = _Reading(self, source).read(root.named_children, "", 0, "module")
        return cover(lines, definitions, _module_docstring(self, source, root))


class _Reading:
    """One pass over one file's tree."""

    def __init__(self, grammar: Grammar, source: Source) -> None:
        self.grammar = grammar
        self.source = source

    def read(self, nodes: Iterable["Node"], scope: str, depth: int, around: str) -> list[Definition]:
        """The definitions among `nodes`; `around` is the kind of the definition that encloses them."""
        found: list[Definition] = []
        readers, comments, leading = self.grammar.readers, self.grammar.comments, self.grammar.leading
        above: list[Node] = []  # comments and attributes that may belong to the next definition
        before: Node | None = None
        for node in nodes:
            kind = node.type
            if kind in comments or kind in leading:
                if above and node.start_point[0] > _last_row(above[-1]) + 1:
                    above.clear()
                if before is None or node.start_point[0] > _last_row(before):
                    above.append(node)
                continue
            before = node
            if kind in readers:
                self._take(found, node, readers[kind], scope, depth, above, around)
            elif kind == "ERROR" and depth < DEEPEST and node.child_count <= MOST_CHILDREN:
                found += self.read(node.named_children, scope, depth + 1, around)
            above.clear()
        return found

    def _take(
        self,
        found: list[Definition],
        node: "Node",
        reader: Reader,
        scope: str,
        depth: int,
        above: "list[Node]",
        around: str,
    ) -> None:
        what = reader(self.source, node)
        if what is None:
            return
        name = what.name[:_NAME]
        symbol = f"{scope}.{name}" if scope and name else scope or name
        if isinstance(what, Inside):
            if depth < DEEPEST:
                inside = "class" if what.members else "module" if name else around
                for each in what.nodes:
                    if each.child_count <= MOST_CHILDREN:
                        found += self.read(each.named_children, symbol, depth + 1, inside)
            return
        first, last = node.start_point[0] + 1, _last_row(node) + 1
        if what.kind == "module":
            if around != "module" or last - first < WORTH_CUTTING:
                return
            symbol = ""
        elif not name:
            return  # without a name it stays part of the surrounding code
        mine = above if above and first - 1 - _last_row(above[-1]) <= self._gap(above[-1]) else []
        kind = "method" if what.kind == "function" and around == "class" else what.kind
        definition = Definition(
            kind,
            mine[0].start_point[0] + 1 if mine else first,
            last,
            symbol,
            self._signature(node, what),
            self._docstring(mine),
        )
        if what.body is not None and depth < DEEPEST and what.body.child_count <= MOST_CHILDREN:
            if kind == "class":
                definition.inner = self.read(self._members(what.body), symbol, depth + 1, kind)
            elif last - first > (LONG_BLOCK if kind == "module" else LONG_FUNCTION):
                inner = self.read(what.body.named_children, scope if kind == "module" else symbol, depth + 1, kind)
                definition.inner = [one for one in inner if one.last - one.first >= WORTH_CUTTING]
        found.append(definition)

    def _members(self, body: "Node") -> "list[Node]":
        """The nodes of a body, and the comments directly before it, which some grammars place outside of it."""
        nodes = body.named_children
        before = body.prev_named_sibling
        while before is not None and before.type in self.grammar.comments:
            nodes.insert(0, before)
            before = before.prev_named_sibling
        return nodes

    def _gap(self, comment: "Node") -> int:
        """The most rows from a comment to its definition: a documentation block may be followed by a blank line."""
        return 2 if self.source.data.startswith(b"/**", comment.start_byte) else 1

    def _signature(self, node: "Node", what: Found) -> str:
        start = node.start_byte if what.start is None else what.start
        data = self.source.data
        if what.body is not None and not self.grammar.one_line_headers:
            end = what.body.start_byte
        else:
            line = data.find(b"\n", start, node.end_byte)
            end = line if line >= 0 else node.end_byte
        text = data[start : min(end, start + 2 * _SIGNATURE)].decode("utf-8", "ignore")
        return _OPENER.sub("", _SPACE.sub(" ", text).strip())[:_SIGNATURE]

    def _docstring(self, above: "Sequence[Node]") -> str:
        comments = self.grammar.comments
        return comment_text("\n".join(self.source.text(node) for node in above if node.type in comments))


def _last_row(node: "Node") -> int:
    """The row of a node's last character, not counting a final line feed."""
    row, column = node.end_point
    return row - 1 if column == 0 and row > node.start_point[0] else row


def comment_text(text: str) -> str:
    """The text of a comment without its markers, at most 2,000 characters."""
    if not text:
        return ""
    text = _MARKS.sub("\n", "\n" + text[: 2 * _DOCSTRING]).strip()
    return text.removesuffix("*/").rstrip()[:_DOCSTRING]


def _module_docstring(grammar: Grammar, source: Source, root: "Node") -> str:
    """The first comment at the start of the file that is not a licence or a `#!` line; empty if there is none."""
    blocks: list[list[Node]] = []
    for node in root.named_children[:200]:
        if node.type not in grammar.comments:
            break
        if blocks and node.start_point[0] <= _last_row(blocks[-1][-1]) + 1:
            blocks[-1].append(node)
        else:
            blocks.append([node])
    for block in blocks:
        text = "\n".join(source.text(node) for node in block)
        if not text.startswith("#!") and not _LICENCE.search(text):
            return comment_text(text)
    return ""
