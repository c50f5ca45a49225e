"""A measure of patches that change what assertions rest on: how instances are compared."""

import ast
import re
from collections.abc import Iterator

from core.work import Doubt

from .edited import EditedProgram

_EQUALITY = r"equal|==|!=|compar|differ|\bsame\b|identical|distinct|duplicate|__eq__|__ne__|hash"
_ORDER = r"order|sort|less|greater|small|large|[<>]|compar|\bmin|\bmax|rank|__[lg][te]__"
_SPOKEN = {
    **dict.fromkeys(("__eq__", "__ne__", "__hash__"), _EQUALITY),
    **dict.fromkeys(("__lt__", "__le__", "__gt__", "__ge__"), _ORDER),
    "__contains__": r"\bin\b|contain|member|\bhas\b|includ|__contains__",
    "__bool__": r"\bbool|truth|truthy|falsy|empty|\btrue\b|\bfalse\b|__bool__",
    "__len__": r"\blen\b|length|\bsize|count|how many|number of|__len__",
}
"""What a task says, in any case of letters, that is about a special method."""


def changed_comparisons(program: EditedProgram) -> Iterator[Doubt]:
    """A special method by which assertions compare works otherwise, and the task does not speak of that: a weaker
    comparison makes a failing assertion hold, whatever is wrong with what it compares."""
    for diff in program.diffs:
        if diff.before is None:
            continue
        for change in diff.changes:
            node, inside = (change.before, diff.before) if change.before is not None else (change.after, diff.after)
            function = inside.function_of(node) if node is not None else None
            if function is None or (spoken := _SPOKEN.get(function.name)) is None:
                continue
            if not any(isinstance(parent, ast.ClassDef) for parent, _ in inside.around(function)):
                continue
            if not re.search(spoken, program.issue, re.IGNORECASE):
                yield Doubt(
                    kind="changed-comparison",
                    detail=f"The patch changes `{function.name}`, on which assertions of the tests rest, and the task "
                    "does not mention it.",
                )
