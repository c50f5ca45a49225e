"""Turns two versions of a file into parts that `patching.Patcher` applies to the imported module.

Edited functions, plain assignments, added definitions and added imports can be applied; for anything else a fresh
import is needed, and `Unpatchable` is raised.
"""

import ast
from collections import Counter
from typing import Any

from .patching import Unpatchable

Part = dict[str, Any]
Function = ast.FunctionDef | ast.AsyncFunctionDef
_READERS = 6
"""At most this many functions that read a changed assignment are measured in its place."""


def parts_of(path: str, old: str, new: str) -> list[Part]:
    """The difference between two versions of a file as parts. Raises `Unpatchable` or `SyntaxError`."""
    before, after = ast.parse(old), ast.parse(new)
    found: list[Part] = []
    _compare(path, before.body, after.body, [], new, found)
    return found


def functions_of(path: str, old: str, parts: list[Part]) -> list[tuple[str, list[str], int]]:
    """The functions whose behaviour a list of parts changes, as (path, chain of names, first line): those that are
    edited, and those that read an edited assignment."""
    edited = [(path, part["chain"], part["line"]) for part in parts if "line" in part]
    names = {name for part in parts for name in part.get("names", ())}
    if not names:
        return edited
    readers = []
    for chain, function in _functions(ast.parse(old).body, []):
        read = {getattr(n, "id", None) or getattr(n, "attr", None) for n in ast.walk(function)}
        if names & read:
            readers.append((path, chain, first_line(function)))
    return [*edited, *readers[:_READERS]]


def first_line(node: ast.AST) -> int:
    """The line of a definition's first decorator, else of the node itself."""
    return min([int(getattr(node, "lineno", 1)), *(int(d.lineno) for d in getattr(node, "decorator_list", ()))])


def recording(source: str, chain: list[str], line: int, number: int) -> tuple[str, list[str]] | None:
    """A function's text that first calls `__penstock_record__(number, locals())`, and its parameters' names; None when
    it has no body to do so in."""
    for names, function in _functions(ast.parse(source).body, []):
        if names != chain or first_line(function) != line:
            continue
        body = function.body[1:] if ast.get_docstring(function, clean=False) is not None else function.body
        if not body:
            return None
        lines = source.split("\n")
        at = first_line(body[0]) - 1
        call = f"__penstock_record__({number}, locals())"
        encoded = lines[at].encode()
        column = min([body[0].col_offset, *(d.col_offset - 1 for d in getattr(body[0], "decorator_list", ()))])
        head, tail = encoded[:column].decode(), encoded[column:].decode()
        if head.strip():
            lines[at] = f"{head}{call}; {tail}"
        else:
            lines[at] = f"{head}{call}\n{head}{tail}"
        return "\n".join(lines[line - 1 : function.end_lineno]) + "\n", _parameters(function)
    return None


def _parameters(function: Function) -> list[str]:
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    return [a.arg for a in [*named, *(a for a in (given.vararg, given.kwarg) if a is not None)]]


def _functions(body: list[ast.stmt], chain: list[str]) -> list[tuple[list[str], Function]]:
    found: list[tuple[list[str], Function]] = []
    for statement in body:
        if isinstance(statement, Function):
            found.append(([*chain, statement.name], statement))
        elif isinstance(statement, ast.ClassDef):
            found += _functions(statement.body, [*chain, statement.name])
        elif isinstance(statement, ast.If | ast.Try):
            for inner in (statement.body, statement.orelse, getattr(statement, "finalbody", [])):
                found += _functions(inner, chain)
    return found


def _compare(
    path: str, old: list[ast.stmt], new: list[ast.stmt], chain: list[str], text: str, found: list[Part]
) -> None:
    definitions, others = _split(old)
    new_definitions, new_others = _split(new)
    for key, statement in new_definitions.items():
        before = definitions.get(key)
        if before is None:
            if chain:
                raise Unpatchable(key[0])
            found.append({"path": path, "exec": _text(statement, text)})
        elif ast.dump(before) != ast.dump(statement):
            _compare_definitions(path, before, statement, chain, text, found)
    if definitions.keys() - new_definitions.keys():
        raise Unpatchable("a definition was removed")
    gone = others - new_others
    for statement in new:
        dumped = ast.dump(statement)
        if isinstance(statement, ast.ClassDef | Function) or _is_text(statement) or not (new_others - others)[dumped]:
            continue
        if (assigned := assigned_name(statement)) is not None:
            again = [] if chain else _dependents(new, statement, assigned)
            names = [assigned, *(name for name, _ in again)]
            source = "\n".join([_dedented(statement, text), *(_text(s, text) for _, s in again)])
            known = any(assigned_name(s) == assigned for s in old)
            if known:
                found.append({"path": path, "chain": chain, "names": names, "source": source})
                gone -= Counter(ast.dump(s) for s in old if assigned_name(s) == assigned)
                continue
        if chain or not isinstance(statement, ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign):
            raise Unpatchable(path)
        found.append({"path": path, "exec": _text(statement, text)})
    for statement in old:
        if gone[ast.dump(statement)] and not isinstance(statement, ast.Import | ast.ImportFrom | ast.Pass):
            raise Unpatchable("a statement was removed")


def _compare_definitions(
    path: str, before: ast.stmt, after: ast.stmt, chain: list[str], text: str, found: list[Part]
) -> None:
    decorators = [[ast.dump(d) for d in getattr(s, "decorator_list", ())] for s in (before, after)]
    if type(before) is not type(after) or decorators[0] != decorators[1]:
        raise Unpatchable("the kind of a definition or its decorators changed")
    if isinstance(before, ast.ClassDef) and isinstance(after, ast.ClassDef):
        bases = [[ast.dump(b) for b in (*s.bases, *s.keywords)] for s in (before, after)]
        if bases[0] != bases[1]:
            raise Unpatchable("the bases of a class changed")
        _compare(path, before.body, after.body, [*chain, before.name], text, found)
    elif isinstance(before, Function) and isinstance(after, Function):
        found.append(
            {
                "path": path,
                "chain": [*chain, before.name],
                "line": first_line(before),
                "source": _text(after, text),
                "signature": ast.dump(before.args) != ast.dump(after.args),
            }
        )


def _split(body: list[ast.stmt]) -> tuple[dict[tuple[str, int], ast.stmt], Counter[str]]:
    """Definitions by name and number of the definition of that name, and the other statements, without texts."""
    definitions: dict[tuple[str, int], ast.stmt] = {}
    others: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for statement in body:
        if isinstance(statement, ast.ClassDef | Function):
            definitions[statement.name, seen[statement.name]] = statement
            seen[statement.name] += 1
        elif not _is_text(statement):
            others[ast.dump(statement)] += 1
    return definitions, others


def assigned_name(statement: ast.stmt) -> str | None:
    """The name that a plain assignment assigns; None for any other statement."""
    target = None
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target = statement.targets[0]
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        target = statement.target
    return target.id if isinstance(target, ast.Name) else None


def _dependents(body: list[ast.stmt], statement: ast.stmt, name: str) -> list[tuple[str, ast.stmt]]:
    """Later assignments that are computed from a changed one, and must run again."""
    found: list[tuple[str, ast.stmt]] = []
    names = {name}
    for later in body[body.index(statement) + 1 :]:
        other = assigned_name(later)
        if other is not None and names & {n.id for n in ast.walk(later) if isinstance(n, ast.Name)}:
            found.append((other, later))
            names.add(other)
    return found


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _text(statement: ast.stmt, text: str) -> str:
    """A statement's whole lines."""
    return "\n".join(text.split("\n")[first_line(statement) - 1 : statement.end_lineno]) + "\n"


def _dedented(statement: ast.stmt, text: str) -> str:
    lines = _text(statement, text).split("\n")
    indent = lines[0][: len(lines[0]) - len(lines[0].lstrip())]
    return "\n".join(line.removeprefix(indent) for line in lines)
