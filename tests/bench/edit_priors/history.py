"""Small edits between consecutive releases of packages: one function before and after, with the statements that differ.

What an edit was made for is unknown. Most small edits of a released function are corrections or small extensions,
which is what an engine that repairs by small edits should propose first.
"""

import ast
import copy
import io
import re
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

from assets.evals.harvest.released_tests import is_released_test
from assets.executions.engines.search.source import Function, SourceFile, Unreadable

MOST_LINES = 3
"""Statements that may differ in an edit that counts as small."""
_FOREIGN = re.compile(r"(^|/)(_?vendor\w*|extern\w*|docs?|examples?|benchmarks?|setup\.py|versioneer\.py)(/|$)")
MOST_FILE = 400_000
"""Bytes of a file that is read."""


@dataclass(frozen=True)
class SmallEdit:
    """One function of a package that differs a little between two releases. `after` is its new tree, normalised;
    `sites` are statements of the old function that differ or stand beside what was inserted."""

    package: str
    release: str
    source: SourceFile
    name: str
    before: Function
    after: str
    after_node: Function
    sites: tuple[ast.stmt, ...]
    lines: int


def python_files(archive: Path) -> dict[str, bytes]:
    """The package's own Python files in a source archive by path below its top folder; tests, vendored code and the
    like left out. Raises `OSError`, `tarfile.TarError` and `zipfile.BadZipFile`."""
    found: dict[str, bytes] = {}
    for name, size, content in _members(archive):
        path = name.partition("/")[2]
        if path.endswith(".py") and size <= MOST_FILE and not _foreign(path) and not is_released_test(path):
            found[path] = content()
    return found


def _foreign(path: str) -> bool:
    return _FOREIGN.search(path) is not None


def _members(archive: Path) -> Iterator[tuple[str, int, "object"]]:
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as opened:
            for info in opened.infolist():
                yield info.filename, info.file_size, lambda info=info: opened.read(info)
        return
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isfile():
                yield member.name, member.size, lambda member=member: (tar.extractfile(member) or io.BytesIO()).read()


def functions(tree: ast.AST, chain: tuple[str, ...] = ()) -> Iterator[tuple[str, Function]]:
    """The outermost functions with their qualified names."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield ".".join((*chain, node.name)), node
        elif isinstance(node, ast.ClassDef):
            yield from functions(node, (*chain, node.name))
        elif not isinstance(node, ast.expr):
            yield from functions(node, chain)


class _Normal(ast.NodeTransformer):
    """Removes what tests seldom notice: annotations, docstrings, casts for type checkers, causes and texts of raised
    exceptions."""

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        self.generic_visit(node)
        if not any(isinstance(n, ast.Name) and n.id == node.name for n in ast.walk(ast.Module(node.body, []))):
            node.name = None
        return node

    def _function(self, node: Function) -> ast.AST:
        node.returns = None
        self.generic_visit(node)
        if _is_docstring(node.body[0]) and len(node.body) > 1:
            del node.body[0]
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = _function

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        self.generic_visit(node)
        if node.value is None:
            return ast.Pass()
        return ast.Assign([node.target], node.value)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        return node.args[1] if name == "cast" and len(node.args) == 2 and not node.keywords else node

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        self.generic_visit(node)
        node.cause = None
        if isinstance(node.exc, ast.Call) and len(node.exc.args) == 1 and _is_text(node.exc.args[0]):
            node.exc.args = [ast.Constant("message")]
        return node


def _is_text(node: ast.expr) -> bool:
    """Whether an expression is a text with at most values set in."""
    if isinstance(node, ast.BinOp):
        return _is_text(node.left)
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Attribute) and node.func.attr == "format" and _is_text(node.func.value)
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def normal(node: Function) -> Function:
    """A normalised copy."""
    return ast.fix_missing_locations(normalised(copy.deepcopy(node)))


def normalised(node: Function) -> Function:
    """The node itself, normalised."""
    made = _Normal().visit(node)
    assert isinstance(made, ast.FunctionDef | ast.AsyncFunctionDef)
    return made


def small_edits(package: str, release: str, before: dict[str, bytes], after: dict[str, bytes]) -> Iterator[SmallEdit]:
    """The functions that differ by at most `MOST_LINES` statements."""
    for path in sorted(before.keys() & after.keys()):
        if before[path] == after[path]:
            continue
        try:
            old, new = SourceFile(path, before[path]), SourceFile(path, after[path])
        except Unreadable:
            continue
        yield from _in_file(package, release, old, new)


def _in_file(package: str, release: str, old: SourceFile, new: SourceFile) -> Iterator[SmallEdit]:
    names = Counter(name for source in (old, new) for name, _ in functions(source.tree))
    later = dict(functions(new.tree))
    for name, was in functions(old.tree):
        now = later.get(name)
        if now is None or names[name] != 2:
            continue
        if old.code(was) == new.code(now):
            continue
        normal_now = normal(now)
        target = ast.dump(normal_now)
        if ast.dump(normal(was)) == target:
            continue
        sites, lines, adds = changed_statements(was, now)
        if adds and sites and lines <= MOST_LINES:
            yield SmallEdit(package, release, old, name, was, target, normal_now, tuple(sites), lines)


def changed_statements(was: Function, now: Function) -> tuple[list[ast.stmt], int, bool]:
    """The statements of the old function that differ or stand beside an insertion, how many statements differ, and
    whether any is new: what only removes statements mostly removes what is not needed any more."""
    old, new = list(_flat(was, 0)), list(_flat(now, 0))
    matcher = SequenceMatcher(None, [key for key, _ in old], [key for key, _ in new], autojunk=False)
    sites: dict[int, ast.stmt] = {}
    count, adds = 0, False
    for tag, a, b, c, d in matcher.get_opcodes():
        if tag == "equal":
            continue
        count += max(b - a, d - c)
        adds = adds or d > c
        for at in range(max(0, a - 1), min(len(old), b + 1)):
            sites[at] = old[at][1]
    return [sites[at] for at in sorted(sites)], count, adds


def _flat(node: ast.stmt, depth: int) -> Iterator[tuple[str, ast.stmt]]:
    """Statements in order, each with a text for its own part and its depth."""
    yield f"{depth}:{_own(node)}", node
    for field in ("body", "handlers", "orelse", "finalbody", "cases"):
        for child in getattr(node, field, ()):
            if isinstance(child, ast.stmt):
                if not _is_docstring(child):
                    yield from _flat(child, depth + 1)
            elif isinstance(child, ast.ExceptHandler):
                for inner in child.body:
                    yield from _flat(inner, depth + 2)


def _own(node: ast.stmt) -> str:
    shallow = copy.copy(node)
    for field in ("body", "orelse", "finalbody"):
        if hasattr(shallow, field):
            setattr(shallow, field, [])
    if isinstance(shallow, ast.Try):
        shallow.handlers = [ast.ExceptHandler(h.type, h.name, []) for h in shallow.handlers]
    made = _Normal.generic_visit(_Normal(), copy.deepcopy(shallow)) if not isinstance(
        shallow, ast.FunctionDef | ast.AsyncFunctionDef) else shallow  # fmt: skip
    return ast.dump(made)
