"""Measures of changed statements: code that is removed, skipped or can no longer be reached."""

import ast
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TypeGuard

from core.work import Doubt

from .changes import FileDiff, ParsedFile
from .edited import EditedProgram

_LEAVES = (ast.Return, ast.Raise, ast.Continue, ast.Break)
_DEFINITIONS = (ast.Import, ast.ImportFrom, ast.Pass, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_BROAD = frozenset({"Exception", "BaseException"})


def unreachable_code(program: EditedProgram) -> Iterator[Doubt]:
    """Statements that follow a `return`, `raise`, `continue` or `break` of the same block, or whose condition a guard
    right before them has already taken, and did not before."""
    for diff in program.diffs:
        if not diff.changes:
            continue
        known = {ast.dump(leave) for _, leave in _dead_after(diff.before)} if diff.before else set()
        for dead, leave in _dead_after(diff.after):
            if ast.dump(leave) in known:
                continue
            constant = isinstance(leave, ast.Return) and (leave.value is None or _is_constant(leave.value))
            if constant and not _trivial(dead):
                yield Doubt(
                    kind="unreachable-code",
                    detail="The patch returns a constant before the code that computes the result.",
                    severity="fail",
                )
            else:
                yield Doubt(kind="unreachable-code", detail="After the patch, some code can never be reached.")


def removed_checks(program: EditedProgram) -> Iterator[Doubt]:
    """A `raise` is removed, alone or with its condition, and not moved elsewhere."""
    added = _statements(change.after for diff in program.diffs for change in diff.changes)
    for _, statement in _gone(program):
        raised = statement.body[-1] if isinstance(statement, ast.If) and not statement.orelse else statement
        if isinstance(raised, ast.Raise) and not added[ast.dump(raised)]:
            yield Doubt(kind="removed-check", detail="The patch removes a check instead of making it right.")


def swallowed_exceptions(program: EditedProgram) -> Iterator[Doubt]:
    """A handler of all exceptions that does nothing with them, or a handler that catches more than before."""
    for diff, handler in _handlers(program):
        before = diff.before
        if not _is_broad(handler):
            continue
        reported = any(isinstance(node, ast.Raise) for node in ast.walk(handler))
        used = handler.name is not None and any(
            isinstance(n, ast.Name) and n.id == handler.name for n in ast.walk(handler)
        )
        if reported or used:
            continue
        if before is not None and _count_broad(before.tree) >= _count_broad(diff.after.tree):
            continue
        yield Doubt(kind="swallowed-exception", detail="The patch catches every exception and does nothing with it.")


def empty_effects(program: EditedProgram) -> Iterator[Doubt]:
    """Statements without effect and conditions that are always true or always false."""
    for diff in program.diffs:
        for change in diff.changes:
            statement = diff.after.statement_of(change.after) if change.after is not None else None
            if statement is not change.after and _assigns_itself(statement):
                yield Doubt(kind="no-effect", detail="The patch assigns a variable to itself.")
    for _, node in _added(program):
        if _assigns_itself(node):
            yield Doubt(kind="no-effect", detail="The patch assigns a variable to itself.")
        elif isinstance(node, ast.If | ast.While | ast.IfExp) and _always(node.test):
            if not (isinstance(node, ast.While) and isinstance(node.test, ast.Constant) and node.test.value):
                yield Doubt(kind="no-effect", detail="The patch has a condition that is always true or always false.")
        elif isinstance(node, ast.BoolOp) and any(_always(v) for v in node.values if not isinstance(v, ast.Constant)):
            yield Doubt(kind="no-effect", detail="The patch has a condition that is always true or always false.")
        elif isinstance(node, ast.Compare) and _always(node):
            yield Doubt(kind="no-effect", detail="The patch compares a value with itself.")


def _assigns_itself(node: ast.AST | None) -> bool:
    return (
        isinstance(node, ast.Assign)
        and len(node.targets) == 1
        and ast.unparse(node.targets[0]) == ast.unparse(node.value)
    )


def _dead_after(file: ParsedFile | None) -> Iterator[tuple[list[ast.stmt], ast.stmt]]:
    """Unreachable statements of every block, with the statement that leaves the block before them."""
    if file is None:
        return
    stack: list[ast.AST] = [file.tree]
    while stack:
        node = stack.pop()
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            block = getattr(node, name, None)
            if not isinstance(block, list):
                continue
            stack.extend(block)
            for number, statement in enumerate(block[:-1]):
                if isinstance(statement, _LEAVES):
                    yield block[number + 1 :], statement
                    break
                after = block[number + 1]
                if _leaves_if(statement) and isinstance(after, ast.If) and _implies(after.test, statement.test):
                    yield after.body, statement


def _leaves_if(statement: ast.stmt) -> TypeGuard[ast.If]:
    """Whether a statement is a guard: under a condition that calls nothing, it leaves the block."""
    return (
        isinstance(statement, ast.If)
        and not statement.orelse
        and isinstance(statement.body[-1], _LEAVES)
        and not any(isinstance(node, ast.Call | ast.NamedExpr | ast.Await) for node in ast.walk(statement.test))
    )


def _implies(test: ast.expr, guard: ast.expr) -> bool:
    """Whether a condition can only hold where the guard's holds: it is the same, or asks for it and more."""
    parts = test.values if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) else [test]
    return any(ast.dump(part) == ast.dump(guard) for part in parts)


def _gone(program: EditedProgram) -> list[tuple[FileDiff, ast.stmt]]:
    """Statements that are removed without one of their kind in their place, and not moved elsewhere."""
    added = _statements(change.after for diff in program.diffs for change in diff.changes)
    found = []
    for diff in program.diffs:
        for change in diff.changes:
            if change.after is None and isinstance(change.before, ast.stmt) and not added[ast.dump(change.before)]:
                inside = diff.before is not None and diff.before.function_of(change.before) is not None
                if inside and not isinstance(change.before, _DEFINITIONS):
                    found.append((diff, change.before))
    return found


def _statements(roots: Iterable[ast.AST | None]) -> Counter[str]:
    return Counter(
        ast.dump(node) for root in roots if root is not None for node in _bounded(root) if isinstance(node, ast.stmt)
    )


def _added(program: EditedProgram) -> Iterator[tuple[FileDiff, ast.AST]]:
    known = {
        ast.dump(node)
        for diff in program.diffs
        for change in diff.changes
        if change.before is not None
        for node in ast.walk(change.before)
        if isinstance(node, ast.stmt | ast.expr)
    }
    for diff in program.diffs:
        for change in diff.changes:
            if change.after is not None:
                for node in _bounded(change.after):
                    if isinstance(node, ast.stmt | ast.expr) and ast.dump(node) not in known:
                        yield diff, node


def _bounded(root: ast.AST) -> Iterator[ast.AST]:
    for count, node in enumerate(ast.walk(root)):
        if count >= 2_000:
            return
        yield node


def _handlers(program: EditedProgram) -> Iterator[tuple[FileDiff, ast.ExceptHandler]]:
    """Handlers that the patch adds or whose type it changes."""
    for diff in program.diffs:
        for change in diff.changes:
            if change.after is None and isinstance(change.before, ast.expr) and change.field == "type" and diff.before:
                # `except KeyError:` became `except:`.
                for node in ast.walk(diff.after.tree):
                    if isinstance(node, ast.ExceptHandler) and node.type is None:
                        yield diff, node
                        break
            if change.after is None:
                continue
            if change.field == "type" or isinstance(change.after, ast.expr):
                for parent, _ in diff.after.around(change.after):
                    if isinstance(parent, ast.ExceptHandler):
                        if change.field == "type":
                            yield diff, parent
                        break
                    if isinstance(parent, ast.stmt):
                        break
            for node in _bounded(change.after):
                if isinstance(node, ast.ExceptHandler):
                    yield diff, node


def _is_broad(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or (isinstance(kind, ast.Name) and kind.id in _BROAD) for kind in kinds)


def _count_broad(tree: ast.AST) -> int:
    return sum(1 for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler) and _is_broad(node))


def _is_constant(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return True
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return all(map(_is_constant, node.elts))
    if isinstance(node, ast.Dict):
        return all(map(_is_constant, node.values))
    return isinstance(node, ast.UnaryOp) and _is_constant(node.operand)


def _trivial(block: list[ast.stmt]) -> bool:
    """Whether a block does nothing that counts."""
    return all(
        isinstance(s, ast.Pass)
        or (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))
        or isinstance(s, ast.Raise)
        for s in block
    )


def _always(test: ast.expr) -> bool:
    if isinstance(test, ast.Constant):
        return True
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        # A value that differs from itself is the usual test for "not a number".
        return not isinstance(test.ops[0], ast.NotEq) and ast.dump(test.left) == ast.dump(test.comparators[0])
    if isinstance(test, ast.BoolOp):
        parts = [ast.dump(value) for value in test.values]
        negated = {ast.dump(v.operand) for v in test.values if isinstance(v, ast.UnaryOp) and isinstance(v.op, ast.Not)}
        return bool(negated & set(parts))
    return False
