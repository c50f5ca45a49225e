"""Measures of what a function does besides its result: effects that are dropped, and errors that are balanced.

An effect here is a call whose result nothing uses, such as writing, logging or telling a listener.
"""

import ast
from collections.abc import Iterator

from core.work import Doubt

from .changes import FileDiff, Function
from .edited import EditedProgram

_RAISED = (ast.Raise, ast.Assert)


def lost_effects(program: EditedProgram) -> Iterator[Doubt]:
    """A function no longer makes a call that it made for its effect, and has no effect in its place."""
    added = {
        _called(node)
        for diff in program.diffs
        for change in diff.changes
        if change.after is not None
        for node in ast.walk(change.after)
        if isinstance(node, ast.Call)
    }
    for old, new in _functions(program):
        before, after = _effects(old), _effects(new)
        mine = _locals(old)
        kept = {_called(node) for node in ast.walk(new) if isinstance(node, ast.Call)}
        if set(after) - set(before):
            continue
        for shown, call in before.items():
            root = _root(call.func)
            made_here = isinstance(call.func, ast.Attribute) and root in mine
            if shown in after or made_here or _called(call) in kept | added:
                continue
            yield Doubt(
                kind="lost-effect",
                detail=f"After the patch, `{old.name}` no longer calls `{shown[:60]}`, and does nothing in its place.",
            )


def replaced_errors(program: EditedProgram) -> Iterator[Doubt]:
    """A handler that raised an error goes on instead."""
    raised = {
        ast.dump(node)
        for diff in program.diffs
        for change in diff.changes
        if change.after is not None
        for node in ast.walk(change.after)
        if isinstance(node, ast.Raise)
    }
    for diff in program.diffs:
        for change in diff.changes:
            old, new = change.before, change.after
            if not isinstance(old, ast.Raise) or new is None or isinstance(new, _RAISED) or ast.dump(old) in raised:
                continue
            yield Doubt(
                kind="removed-check",
                detail="Where the program raised an error, the patch makes it go on with another value.",
            )


def compensations(program: EditedProgram) -> Iterator[Doubt]:
    """A constant is added to the result of a function of the program that others call too, or to a parameter for the
    whole function: if that value is wrong, it stays wrong elsewhere."""
    for diff, node in program.introduced:
        if not (isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Add | ast.Sub)):
            continue
        one, other = (node.left, node.right) if isinstance(node, ast.BinOp) else (node.target, node.value)
        for value, constant in ((one, other), (other, one)):
            shown = ast.unparse(constant)
            if not (isinstance(constant, ast.Constant) and type(constant.value) in (int, float)):
                continue
            if isinstance(value, ast.Call) and _was_there(program, value) and _calls(program, _called(value)) > 1:
                yield Doubt(
                    kind="compensation",
                    detail=f"The patch corrects the result of `{_called(value)}` by {shown} in one of the "
                    "places that call it, and not in the function itself.",
                )
            elif isinstance(value, ast.Name) and _shifts_parameter(diff, node, value.id):
                yield Doubt(
                    kind="compensation",
                    detail=f"The patch shifts the parameter `{value.id}` by {shown} instead of changing how "
                    "it is used.",
                )


def neutral_operations(program: EditedProgram) -> Iterator[Doubt]:
    """An operation that changes nothing is left or added, such as `+ 0` in place of `+ 1`: whoever means that leaves
    the operation out."""
    for diff, new in program.introduced:
        node = diff.after.parents.get(new, (new, ""))[0] if isinstance(new, ast.Constant) else new
        if isinstance(node, ast.BinOp):
            sides = [node.right, node.left] if isinstance(node.op, ast.Add | ast.Mult) else [node.right]
        elif isinstance(node, ast.AugAssign):
            sides = [node.value]
        else:
            continue
        neutral = _NEUTRAL.get(type(node.op))
        if any(isinstance(s, ast.Constant) and type(s.value) is int and s.value == neutral for s in sides):
            yield Doubt(
                kind="neutral-operation",
                detail=f"The patch computes `{ast.unparse(node)[:60]}`, in which the operation changes nothing.",
            )


_NEUTRAL: dict[type[ast.operator], int] = {ast.Add: 0, ast.Sub: 0, ast.Mult: 1, ast.Div: 1, ast.Pow: 1}


def _functions(program: EditedProgram) -> Iterator[tuple[Function, Function]]:
    """Functions that a patch changes, before and after it."""
    for diff in program.diffs:
        if diff.before is None:
            continue
        seen: set[ast.AST] = set()
        after = _by_name(diff.after.tree)
        before = _by_name(diff.before.tree)
        for change in diff.changes:
            if change.before is None:
                function = diff.after.function_of(change.after) if change.after is not None else None
                old = next((before.get(name) for name, f in after.items() if f is function), None)
            else:
                old = diff.before.function_of(change.before)
            name = next((name for name, f in before.items() if f is old), None)
            if old is None or name is None or old in seen or name not in after:
                continue
            seen.add(old)
            yield old, after[name]


def _by_name(tree: ast.AST, prefix: str = "") -> dict[str, Function]:
    """The functions of a module by their dotted names; the last of several with one name."""
    found: dict[str, Function] = {}
    for node in ast.iter_child_nodes(tree):
        name = prefix
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{prefix}.{node.name}"
            if not isinstance(node, ast.ClassDef):
                found[name] = node
        if isinstance(node, ast.stmt | ast.ExceptHandler):
            found |= _by_name(node, name)
    return found


def _effects(function: Function) -> dict[str, ast.Call]:
    """Calls of a function whose results nothing uses, by what they call."""
    found = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Expr):
            value = node.value.value if isinstance(node.value, ast.Await) else node.value
            if isinstance(value, ast.Call):
                found[ast.unparse(value.func)] = value
        elif isinstance(node, ast.AugAssign | ast.Assign | ast.Delete):
            targets = [node.target] if isinstance(node, ast.AugAssign) else node.targets
            for target in targets:
                if isinstance(target, ast.Attribute | ast.Subscript):
                    shown = ast.unparse(target)
                    found[shown] = ast.Call(func=target, args=[], keywords=[])
    return found


def _locals(function: Function) -> set[str]:
    return {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def _root(node: ast.AST) -> str:
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _called(call: ast.Call) -> str:
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _was_there(program: EditedProgram, call: ast.Call) -> bool:
    wanted = ast.dump(call)
    return any(
        isinstance(node, ast.Call) and ast.dump(node) == wanted
        for diff in program.diffs
        for change in diff.changes
        if change.before is not None
        for node in ast.walk(change.before)
    )


def _calls(program: EditedProgram, name: str) -> int:
    """How often the program calls a function that it defines itself; 0 for any other name."""
    trees = [source.tree for source in program.sources.values() if source.syntax_error is None]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    if not any(isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef) and n.name == name for n in nodes):
        return 0
    return sum(isinstance(n, ast.Call) and _called(n) == name for n in nodes)


def _shifts_parameter(diff: FileDiff, node: ast.AST, name: str) -> bool:
    """Whether an expression is assigned to the parameter that it is computed from, as a statement of the function."""
    statement, function = diff.after.statement_of(node), diff.after.function_of(node)
    if not isinstance(statement, ast.Assign | ast.AugAssign) or function is None or statement not in function.body:
        return False
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    parameters = {a.arg for a in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)}
    return name in parameters and any(isinstance(t, ast.Name) and t.id == name for t in targets)
