"""What operators are given and what they propose. `@on` registers a generator as an operator for types of nodes."""

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ..program import Place, Program

if TYPE_CHECKING:
    from tree_sitter import Node

MOST_PROPOSALS = 12_000
"""Of one file."""
_LONGEST = 4_000
"""Bytes of an edit's new text."""
_NAME = re.compile(r"[A-Za-z_$][\w$]*")


class Proposal(NamedTuple):
    """Replace the bytes `start:end` by `text`. `line` is where the changed node begins, from 1."""

    start: int
    end: int
    text: str
    operator: str
    weight: float
    line: int


@dataclass(frozen=True)
class Hints:
    """What is known of the failure. `names`, `numbers` and `strings` stand in the issue, the failing tests or their
    messages; `error` is a kind: `null`, `index`, `zero`, `call`, `name` or empty; `members` are those whose owner was
    missing."""

    names: frozenset[str] = frozenset()
    numbers: tuple[str, ...] = ()
    strings: tuple[str, ...] = ()
    error: str = ""
    members: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True)
class Site:
    """A node of a program at which operators propose edits."""

    program: Program
    place: Place
    hints: Hints

    @property
    def node(self) -> "Node":
        return self.place.node

    @property
    def go(self) -> bool:
        return self.program.syntax.family == "go"

    def text(self, node: "Node | None") -> str:
        return self.program.text(node)

    def get(self, name: str) -> "Node | None":
        return self.node.child_by_field_name(name)

    def swap(self, node: "Node", text: str, operator: str, weight: float) -> Proposal:
        """Replaces a node."""
        return Proposal(node.start_byte, node.end_byte, text, operator, weight, node.start_point[0] + 1)

    def insert(self, at: int, text: str, operator: str, weight: float) -> Proposal:
        return Proposal(at, at, text, operator, weight, self.node.start_point[0] + 1)

    @property
    def indentation(self) -> str:
        """Of the line on which the node begins."""
        start = self.program.data.rfind(b"\n", 0, self.node.start_byte) + 1
        line = self.program.data[start : self.node.start_byte].decode("utf-8", "ignore")
        return line[: len(line) - len(line.lstrip())]

    @property
    def semicolon(self) -> str:
        """What ends statements in this file."""
        data = self.program.data
        return "" if self.go or data.count(b";\n") * 4 < data.count(b"\n") - data.count(b"{\n") * 3 else ";"


Operator = Callable[[Site], Iterator[Proposal]]
_OPERATORS: dict[str, list[tuple[str, str, Operator]]] = {}


def on(*kinds: str, family: str, language: str = "") -> Callable[[Operator], Operator]:
    """Registers an operator for types of nodes, of one language if it is named."""

    def register(operator: Operator) -> Operator:
        for kind in kinds:
            _OPERATORS.setdefault(kind, []).append((family, language, operator))
        return operator

    return register


def families() -> tuple[str, ...]:
    return tuple(sorted({family for known in _OPERATORS.values() for family, _, _ in known}))


def kinds() -> frozenset[str]:
    """The types of nodes for which there are operators."""
    return frozenset(_OPERATORS)


def proposals(
    program: Program, hints: Hints, chosen: Collection[str] | None = None, rows: Collection[int] | None = None
) -> list[Proposal]:
    """What all operators (those of the families `chosen`) propose for nodes that begin on these rows (from 0, all by
    default), in the order of the text. Each differs from the text that it replaces, and no edit is there twice."""
    found: dict[tuple[int, int, str], Proposal] = {}
    for place in program.places:
        if (rows is not None and place.node.start_point[0] not in rows) or _imports(program, place):
            continue
        for family, language, operator in _OPERATORS.get(place.node.type, ()):
            if (language and language != program.syntax.family) or (chosen is not None and family not in chosen):
                continue
            for proposal in operator(Site(program, place, hints)):
                made = _trimmed(program.data, proposal)
                if made is None or len(made.text) > _LONGEST:
                    continue
                made = made._replace(weight=made.weight * _boost(program.data, made, hints),
                                     operator=f"{family}:{made.operator}")  # fmt: skip
                key = (made.start, made.end, made.text)
                if key not in found or found[key].weight < made.weight:
                    found[key] = made
                if len(found) >= MOST_PROPOSALS:
                    return list(found.values())
    return list(found.values())


def _imports(program: Program, place: Place) -> bool:
    """Whether a node loads a module."""
    return place.node.type == "call_expression" and program.data.startswith(
        (b"require(", b"import("), place.node.start_byte
    )


def _trimmed(data: bytes, proposal: Proposal) -> Proposal | None:
    """The same edit without what it leaves as it is at its beginning and end; None if that is everything."""
    old, new = data[proposal.start : proposal.end], proposal.text.encode()
    first = 0
    while first < min(len(old), len(new)) and old[first] == new[first]:
        first += 1
    last = 0
    while last < min(len(old), len(new)) - first and old[-1 - last] == new[-1 - last]:
        last += 1
    if len(old) == len(new) == first:
        return None
    try:
        text = new[first : len(new) - last].decode()
    except UnicodeDecodeError:
        return proposal
    return proposal._replace(start=proposal.start + first, end=proposal.end - last, text=text)


def _boost(data: bytes, proposal: Proposal, hints: Hints) -> float:
    """More for new code that uses names which the issue or the failing tests name."""
    old = set(_NAME.findall(data[max(0, proposal.start - 40) : proposal.end + 40].decode("utf-8", "ignore")))
    fresh = {name for name in _NAME.findall(proposal.text) if len(name) > 2} - old
    return 1.0 + 0.25 * min(2, len(fresh & hints.names))
