"""The process in which `isolated` reads a file: it parses it, and lists its functions or what operators propose."""

from typing import Any

from assets.executions.engines.search.native.operators import Hints, proposals
from assets.executions.engines.search.native.program import Program, Unparsed
from assets.executions.engines.search.native.syntaxes import BY_NAME
from core.worker import serve

MEMORY = 1 << 30
"""Bytes of address space. A file that needs more ends this process and is left alone."""
_MOST_FUNCTIONS = 5_000


def _answer(request: dict[str, Any]) -> Any:
    try:
        program = Program(BY_NAME[request["syntax"]], request["text"].encode())
    except Unparsed as reason:
        return str(reason)
    if request["want"] == "outline":
        return _outline(program)
    given = request["hints"]
    hints = Hints(frozenset(given["names"]), tuple(given["numbers"]), tuple(given["strings"]), given["error"],
                  frozenset(given["members"]))  # fmt: skip
    return [list(one) for one in proposals(program, hints, request["families"], set(request["rows"]))]


def _outline(program: Program) -> list[tuple[str, int, int]]:
    """Name, first and last line of each function, outer ones first."""
    found: list[tuple[str, int, int]] = []
    functions = program.syntax.functions
    for place in program.places:
        node = place.node
        if node.type not in functions or len(found) >= _MOST_FUNCTIONS:
            continue
        named = node if node.child_by_field_name("name") is not None else place.parent
        name = ""
        if named is not None:
            name = program.text(
                named.child_by_field_name("name")
                or named.child_by_field_name("key")
                or named.child_by_field_name("left")
            )
        found.append((name[:200], node.start_point[0] + 1, node.end_point[0] + 1))
    return found


def _prepare() -> None:
    import tree_sitter  # noqa: F401 - a missing wheel must fail the start, not look like a file that cannot be parsed


if __name__ == "__main__":
    serve(_answer, memory=MEMORY, prepare=_prepare)
