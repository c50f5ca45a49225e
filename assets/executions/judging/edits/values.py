"""Measures of replaced expressions: values that are converted, dropped or exchanged for something unrelated."""

import ast
import builtins
import re
from collections.abc import Iterator

from core.work import Doubt

from .changes import FileDiff, Function
from .edited import EditedProgram

_CONVERSIONS = frozenset({"str", "repr", "bytes", "int", "float", "bool", "list", "tuple", "set", "frozenset", "dict"})
_CONSTANT = re.compile(r"_*[A-Z][A-Z0-9_]+")
_SCALARS = frozenset({"str", "repr", "bytes", "int", "float", "bool"})
_BUILTINS = frozenset(dir(builtins))
_TAKES_TEXT = frozenset(
    {
        "join",
        "write",
        "append",
        "extend",
        "print",
        "search",
        "match",
        "fullmatch",
        "sub",
        "split",
        "replace",
        "encode",
        "quote",
    }
)
_TAKES_NUMBER = frozenset({"range", "round", "chr", "sleep", "timedelta", "date", "datetime", "islice"})


def type_wraps(program: EditedProgram) -> Iterator[Doubt]:
    """A conversion put around a value that is passed on or compared, where nothing asks for another type."""
    for diff, change in _replaced(program):
        new = change[1]
        if not (isinstance(new, ast.Call) and isinstance(new.func, ast.Name) and len(new.args) == 1):
            continue
        name = new.func.id
        if name not in _CONVERSIONS or new.keywords or ast.dump(new.args[0]) != ast.dump(change[0]):
            continue
        parent, field = diff.after.parents[new]
        if isinstance(parent, ast.keyword):
            parent, field = diff.after.parents[parent]
        passed = isinstance(parent, ast.Call) and field in ("args", "keywords")
        if not passed and not (name in _SCALARS and isinstance(parent, ast.Compare)):
            continue
        if program.mentioned(name) or "TypeError" in program.issue:
            continue
        callee = _last_name(parent.func) if isinstance(parent, ast.Call) else ""
        if name not in _SCALARS and callee in _BUILTINS:
            continue
        if (name in ("str", "repr") and callee in _TAKES_TEXT) or (
            name in ("int", "float") and callee in _TAKES_NUMBER
        ):
            continue
        yield Doubt(
            kind="type-wrap",
            detail=f"The patch converts a value with `{name}` before it is passed on, and neither its use nor the "
            "issue calls for that.",
        )


def dropped_calls(program: EditedProgram) -> Iterator[Doubt]:
    """A call is dropped and what it was called on is left."""
    for _, (old, new) in _replaced(program):
        if not isinstance(old, ast.Call) or not isinstance(old.func, ast.Attribute):
            continue
        if ast.dump(old.func.value) == ast.dump(new) and any(
            isinstance(node, ast.Name) for argument in (*old.args, *old.keywords) for node in ast.walk(argument)
        ):
            shown = f"{_last_name(old.func)}()"
            yield Doubt(
                kind="dropped-call",
                detail=f"The patch drops the call of `{shown}` with its arguments and keeps the object that it "
                "was called on.",
            )


def unused_inputs(program: EditedProgram) -> Iterator[Doubt]:
    """A parameter that the function used is used no more."""
    for diff in program.diffs:
        if diff.before is None:
            continue
        seen: set[Function] = set()
        for change in diff.changes:
            if change.before is None:
                continue
            old = diff.before.function_of(change.before)
            if old is None or old in seen or isinstance(change.before, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            seen.add(old)
            new = _same_function(diff, old)
            if new is None:
                continue
            kept = _parameters(new)
            gone = [name for name in _parameters(old) if name in kept and name in _read(old) and name not in _read(new)]
            for name in gone:
                yield Doubt(
                    kind="unused-input", detail=f"After the patch, `{old.name}` no longer uses its parameter `{name}`."
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


def replaced_constants(program: EditedProgram) -> Iterator[Doubt]:
    """A named constant (`DIGITS`, `self._AT`) is replaced by another name that is none. Of 4,205 small edits between
    releases of other packages, four do that."""
    for _, (old, new) in _replaced(program):
        if not isinstance(old, ast.Name | ast.Attribute) or not isinstance(new, ast.Name | ast.Attribute):
            continue
        one, other = _last_name(old), _last_name(new)
        if one.strip("_").lower() == other.strip("_"):
            continue  # it is renamed
        asked = f"`{other}`" in program.issue or (isinstance(new, ast.Attribute) and ast.unparse(new) in program.issue)
        if _CONSTANT.fullmatch(one) and other == other.lower() and not asked:
            yield Doubt(
                kind="replaced-constant",
                detail=f"The patch uses `{ast.unparse(new)}` in place of the constant `{ast.unparse(old)}`, and the "
                "issue does not speak of it.",
            )


def added_indexes(program: EditedProgram) -> Iterator[Doubt]:
    """A constant index added to a value that was used whole."""
    for _, (old, new) in _replaced(program):
        if not (isinstance(new, ast.Subscript) and ast.dump(new.value) == ast.dump(old)):
            continue
        index = new.slice.operand if isinstance(new.slice, ast.UnaryOp) else new.slice
        if isinstance(index, ast.Constant) and type(index.value) is int:
            if ast.unparse(new) in program.program:
                continue
            yield Doubt(
                kind="added-index",
                detail=f"The patch takes one element, `[{ast.unparse(new.slice)}]`, of a value that was used whole.",
            )


def indexed_slices(program: EditedProgram) -> Iterator[Doubt]:
    """One element of a slice that is new, both by constants: an index says the same."""
    for diff, node in program.introduced:
        if not (isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice)):
            continue
        parent, field = diff.after.parents.get(node, (None, ""))
        if isinstance(parent, ast.Subscript) and field == "value" and isinstance(parent.slice, ast.Constant):
            detail = f"The patch takes `{ast.unparse(parent)[:60]}`, one element of a slice."
            yield Doubt(kind="added-index", detail=detail)


def mapped_conversions(program: EditedProgram) -> Iterator[Doubt]:
    """Every item is converted by `map(str, …)` where nothing asks for another type."""
    for _, node in program.introduced:
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "map" and node.args):
            continue
        name = node.args[0].id if isinstance(node.args[0], ast.Name) else ""
        if name in _SCALARS and not program.mentioned(name):
            detail = f"The patch converts every item with `{name}`, and the issue does not call for that."
            yield Doubt(kind="type-wrap", detail=detail)


def double_reversals(program: EditedProgram) -> Iterator[Doubt]:
    """The result of sorting, reversing or negating is reversed or negated again."""
    for _, node in program.introduced:
        if _reverses(node) and (inner := _reversed_value(node)) is not None and (_sorts(inner) or _reverses(inner)):
            yield Doubt(
                kind="double-reversal", detail="The patch reverses a value that it has just sorted or reversed."
            )
        elif (
            isinstance(node, ast.UnaryOp)
            and isinstance(node.operand, ast.UnaryOp)
            and type(node.op) is type(node.operand.op)
        ):
            yield Doubt(kind="double-reversal", detail="The patch negates a value twice.")


def foreign_names(program: EditedProgram) -> Iterator[Doubt]:
    """A function, class or module, or a variable of a module, used in place of a computed value."""
    for diff, node in program.introduced:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            kinds = _definitions(diff.after.tree)
            if node.id not in kinds or _is_local(diff, node):
                continue
            if _stands_as_value(diff, node) and not program.mentioned(node.id):
                yield Doubt(
                    kind="foreign-name",
                    detail=f"The patch uses the {kinds[node.id]} `{node.id}` itself as a value, without calling it.",
                )
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and isinstance(node.ctx, ast.Load):
            kinds = _definitions(diff.after.tree)
            if kinds.get(node.value.id) != "module" or _is_local(diff, node.value):
                continue
            parent, field = diff.after.parents.get(node, (None, ""))
            lower = node.attr.islower() and not node.attr.startswith("_")
            replaces = isinstance(parent, ast.Call) and field == "args" and _replaces_value(diff, node)
            shown = f"{node.value.id}.{node.attr}"
            if lower and replaces and not program.mentioned(node.attr) and shown not in program.program:
                yield Doubt(
                    kind="foreign-name",
                    detail=f"The patch passes `{shown}`, which has nothing to do with the value that it replaces.",
                )


def constants_for_values(program: EditedProgram) -> Iterator[Doubt]:
    """A computed value is replaced by a constant."""
    for diff, (old, new) in _replaced(program):
        if (
            not isinstance(new, ast.Constant)
            or isinstance(old, ast.Constant | ast.JoinedStr)
            or not isinstance(old, ast.expr)
        ):
            continue
        if not any(isinstance(node, ast.Name | ast.Call) for node in ast.walk(old)):
            continue
        parent, field = diff.after.parents[new]
        if field in ("annotation", "returns") or new.value is None or _is_swapped(parent, old):
            continue
        yield Doubt(
            kind="constant-value",
            detail=f"The patch replaces a computed value by the constant `{ast.unparse(new)[:40]}`.",
        )


def _replaced(program: EditedProgram) -> Iterator[tuple[FileDiff, tuple[ast.AST, ast.AST]]]:
    for diff in program.diffs:
        for change in diff.changes:
            if change.before is not None and change.after is not None and isinstance(change.after, ast.expr):
                yield diff, (change.before, change.after)


def _is_swapped(parent: ast.AST, old: ast.AST) -> bool:
    """Whether the old operand of a comparison or an operation is now its other operand."""
    operands = ast.iter_child_nodes(parent) if isinstance(parent, ast.Compare | ast.BinOp) else ()
    return any(ast.dump(operand) == ast.dump(old) for operand in operands)


def _last_name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _same_function(diff: FileDiff, old: Function) -> Function | None:
    """The function of this name after the patch, if there is exactly one."""
    found = [
        node
        for node in diff.after.parents
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == old.name
    ]
    if len(found) > 1:
        owner = _owner(diff.before, old) if diff.before else ""
        found = [node for node in found if _owner(diff.after, node) == owner]
    return found[0] if len(found) == 1 else None


def _owner(file: object, node: ast.AST) -> str:
    around = file.around(node)  # type: ignore[attr-defined]
    return ".".join(parent.name for parent, _ in around if hasattr(parent, "name"))


def _parameters(function: Function) -> set[str]:
    a = function.args
    every = [*a.posonlyargs, *a.args, *a.kwonlyargs, *(p for p in (a.vararg, a.kwarg) if p)]
    return {p.arg for p in every} - {"self", "cls"}


def _read(function: Function) -> set[str]:
    return {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def _reverses(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "reversed" and len(node.args) == 1
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
        s = node.slice
        return s.lower is None and s.upper is None and s.step is not None and ast.unparse(s.step) == "-1"
    return False


def _reversed_value(node: ast.AST) -> ast.AST | None:
    if isinstance(node, ast.Call):
        inner: ast.AST = node.args[0]
        while (
            isinstance(inner, ast.Call) and _last_name(inner.func) in ("list", "tuple", "iter") and len(inner.args) == 1
        ):
            inner = inner.args[0]
        return inner
    return node.value if isinstance(node, ast.Subscript) else None


def _sorts(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "sorted"


def _definitions(tree: ast.Module) -> dict[str, str]:
    """Functions, classes and modules that a file defines or imports at its top level."""
    found: dict[str, str] = {}
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            found[statement.name] = "function"
        elif isinstance(statement, ast.ClassDef):
            found[statement.name] = "class"
        elif isinstance(statement, ast.Import):
            found.update({(a.asname or a.name.split(".")[0]): "module" for a in statement.names})
    return found


def _is_local(diff: FileDiff, node: ast.Name) -> bool:
    function = diff.after.function_of(node)
    if function is None:
        return False
    stored = {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return node.id in stored or node.id in _parameters(function)


def _stands_as_value(diff: FileDiff, node: ast.Name) -> bool:
    parent, field = diff.after.parents.get(node, (None, ""))
    if isinstance(parent, ast.Return):
        return True
    if isinstance(parent, ast.Assign) and field == "value":
        return diff.after.function_of(node) is not None
    if isinstance(parent, ast.Compare | ast.BoolOp | ast.BinOp | ast.If | ast.IfExp):
        return not isinstance(parent, ast.Compare) or not any(
            isinstance(op, ast.Is | ast.IsNot | ast.In | ast.NotIn | ast.Eq) for op in parent.ops
        )
    return False


def _replaces_value(diff: FileDiff, node: ast.AST) -> bool:
    return any(change.after is node and change.before is not None for change in diff.changes)
