"""What the worker changes in place for a candidate: edited functions, or one edited assignment."""

import ast
from collections.abc import Mapping

from assets.executions.engines.protocol import Candidate
from assets.executions.engines.search.source import Edit, SourceFile, apply_edits


def parts_in_place(candidate: Candidate, sources: Mapping[str, SourceFile]) -> list[dict[str, object]] | None:
    """The candidate as edited functions or assignments; None when it needs a fresh import."""
    if candidate.whole:
        return None
    by_function: dict[tuple[str, int], list[Edit]] = {}
    found: dict[tuple[str, int], tuple[SourceFile, ast.FunctionDef | ast.AsyncFunctionDef, list[str]]] = {}
    for edit in candidate.edits:
        source = sources[edit.path]
        place = function_around(source, edit)
        if place is None:
            assigned = _assignment(source, edit) if len(candidate.edits) == 1 else None
            return None if assigned is None else [assigned]
        function, chain = place
        key = (edit.path, source.first_line(function))
        by_function.setdefault(key, []).append(edit)
        found[key] = (source, function, chain)
    parts: list[dict[str, object]] = []
    for key, edits in by_function.items():
        source, function, chain = found[key]
        start, end = _region(source, function)
        try:
            text = apply_edits(
                source.text[start:end], tuple(Edit(e.path, e.start - start, e.end - start, e.text) for e in edits)
            )
        except ValueError:
            text = "("  # overlapping edits: reported as not compiling
        body_start = source.span(function.body[0])[0]
        signature = any(e.start < body_start and not e.text.endswith("\n") for e in edits)
        parts.append(
            {
                "path": source.path,
                "chain": chain,
                "line": key[1],
                "source": text,
                "signature": signature,
            }
        )
    return parts


def _region(source: SourceFile, function: ast.AST) -> tuple[int, int]:
    start = source.line_start(source.first_line(function))
    last = int(function.end_lineno)  # type: ignore[attr-defined]
    return start, source.line_start(last + 1) if last < source.lines else len(source.text)


def _assignment(source: SourceFile, edit: Edit) -> dict[str, object] | None:
    """An edit inside a plain assignment at module or class level, with later assignments that depend on it; None for
    any other edit."""
    if edit.text.endswith("\n"):
        return None
    body: list[ast.stmt] = source.tree.body
    chain: list[str] = []
    while True:
        found = None
        for statement in body:
            start, end = source.span(statement)
            if start <= edit.start and edit.end <= end:
                found = statement
        if isinstance(found, ast.ClassDef):
            if found.decorator_list:
                return None
            chain.append(found.name)
            body = found.body
            continue
        break
    if found is None or not _assigns_name(found):
        return None
    start, end = source.span(found)
    names = [_target(found)]
    pieces = [source.text[start : edit.start] + edit.text + source.text[edit.end : end]]
    if chain:
        pieces[0] = _outdented(pieces[0], source.indent(found))
    else:
        # Assignments that are computed from it at import must run again.
        for statement in body[body.index(found) + 1 :]:
            reads = {n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
            if _assigns_name(statement) and reads & set(names):
                names.append(_target(statement))
                pieces.append(source.code(statement))
    return {"path": source.path, "chain": chain, "names": names, "source": "\n".join(pieces)}


def _assigns_name(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Assign):
        return len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name)
    return (
        isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value is not None
    )


def _target(statement: ast.stmt) -> str:
    target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
    return target.id if isinstance(target, ast.Name) else ""


def _outdented(text: str, indent: str) -> str:
    return "\n".join(line.removeprefix(indent) for line in text.split("\n"))


def function_around(source: SourceFile, edit: Edit) -> tuple[ast.FunctionDef | ast.AsyncFunctionDef, list[str]] | None:
    """The outermost function that an edit is inside of, with the names of its classes and its own, or None."""
    at = edit.start
    inserts_line = edit.start == edit.end and at == source.line_start(source.line_of(at)) if at else False
    if inserts_line and edit.text[:1] in (" ", "\t"):
        at -= 1  # a new line belongs to the function of the line before it
    elif inserts_line:
        return None
    place = source.outermost_function(at)
    if place is None:
        return None
    function, _ = place
    start, end = _region(source, function)
    if not (start <= edit.start and edit.end <= end) or edit.start < source.span(function)[0]:
        return None
    if inserts_line:
        line = source.line_text(function.lineno)
        indent = len(line) - len(line.lstrip())
        if len(edit.text) - len(edit.text.lstrip(" \t")) <= indent:
            return None
    return place
