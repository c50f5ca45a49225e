"""Measures of patches that change what assertions rest on, how instances are compared, and that overwrite an input."""

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


def overwritten_inputs(program: EditedProgram) -> Iterator[Doubt]:
    """A parameter that was changed by an operator in place gets a value that does not depend on it. Of 3,783 small
    edits between releases of other packages, none does that."""
    for diff in program.diffs:
        for change in diff.changes:
            old, new = change.before, change.after
            if not isinstance(old, ast.AugAssign) or not isinstance(new, ast.Assign) or diff.before is None:
                continue
            function = diff.before.function_of(old)
            if function is None or not isinstance(old.target, ast.Name):
                continue
            name = old.target.id
            given = {a.arg for a in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)}
            read = {node.id for node in ast.walk(new.value) if isinstance(node, ast.Name)}
            if name in given - read and ast.unparse(new.targets[0]) == name:
                yield Doubt(
                    kind="unused-input",
                    detail=f"The patch overwrites the parameter `{name}` of `{function.name}` instead of changing it.",
                )
