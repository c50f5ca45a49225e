"""Removes tests from a test module, so that a solver sees only the others.

Works on the syntax tree: it removes whole functions with their decorators, and classes that become empty.
"""

import ast
from collections.abc import Collection, Iterator

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def without_tests(source: str, names: Collection[tuple[str, ...]]) -> str:
    """The module without the named tests: `("test_a",)`, or `("TestShape", "test_a")` for a method.

    Names that do not occur are ignored. Raises `SyntaxError` if `source` is not Python.
    """
    lines = source.splitlines(keepends=True)
    gone = {number for first, last in _spans(ast.parse(source), (), set(names)) for number in range(first, last + 1)}
    return "".join(line for number, line in enumerate(lines, 1) if number not in gone)


def _spans(node: ast.AST, path: tuple[str, ...], names: set[tuple[str, ...]]) -> Iterator[tuple[int, int]]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, Definition):
            continue
        at = (*path, child.name)
        if at in names:
            yield _span(child)
        elif isinstance(child, ast.ClassDef):
            inside = list(_spans(child, at, names))
            cut = {number for first, last in inside for number in range(first, last + 1)}
            left = [one for one in child.body if one.lineno not in cut]
            yield from [_span(child)] if inside and not any(not _is_text(one) for one in left) else inside


def _span(node: Definition) -> tuple[int, int]:
    return min([node.lineno, *(one.lineno for one in node.decorator_list)]), node.end_lineno or node.lineno


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
