"""What a patch changes in Python's syntax: expressions and statements that were replaced, added or removed.

Compares the syntax trees of a file before and after a patch. Comments and formatting are no changes. Not for other
files, and not for deciding whether a change is good.
"""

import ast
import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

MAX_CHARACTERS = 600_000
_LINE_END = re.compile(r"\r\n|\r|\n")
_SKIPPED = frozenset({"ctx", "type_comment", "type_ignores", "kind"})
_COMPARED = 12
"""A removed statement may correspond to one of this many added ones."""
_ALIGNED = 400
"""Longer lists are compared place by place, since aligning them takes quadratic time."""


Function = ast.FunctionDef | ast.AsyncFunctionDef


class ProgramFile(Protocol):
    """A file of the program before the patch, parsed. `tree` is empty if `syntax_error` is set."""

    @property
    def text(self) -> str: ...

    @property
    def tree(self) -> ast.Module: ...

    @property
    def syntax_error(self) -> SyntaxError | None: ...


@dataclass(frozen=True)
class Change:
    """One change. `before` is None for code that was added, `after` for code that was removed; both are set for code
    that was replaced. `field` names the parents' field that holds it."""

    before: ast.AST | None
    after: ast.AST | None
    field: str = ""


class ParsedFile:
    """A file's syntax tree with parents. Raises `SyntaxError` or `ValueError` for text that cannot be parsed."""

    def __init__(self, text: str, tree: ast.Module | None = None) -> None:
        if len(text) > MAX_CHARACTERS:
            raise ValueError(f"it has more than {MAX_CHARACTERS} characters")
        bare = text.removeprefix("\ufeff")
        try:
            self.tree = ast.parse(bare) if tree is None else tree
        except (RecursionError, MemoryError) as error:
            raise ValueError(f"it is nested too deeply ({error})") from error
        self.lines = _LINE_END.split(bare)

    @cached_property
    def parents(self) -> dict[ast.AST, tuple[ast.AST, str]]:
        """The parent of every node, with the field that holds the node."""
        found: dict[ast.AST, tuple[ast.AST, str]] = {}
        stack: list[ast.AST] = [self.tree]
        while stack:
            node = stack.pop()
            for field in node._fields:
                value = getattr(node, field, None)
                for child in value if isinstance(value, list) else (value,):
                    # Contexts and operators are objects that all places share.
                    if isinstance(child, ast.AST) and not isinstance(child, _SHARED):
                        found[child] = (node, field)
                        stack.append(child)
        return found

    def around(self, node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
        """The parents of a node from the inside to the module, each with the field that leads to the node."""
        entry = self.parents.get(node)
        while entry is not None:
            yield entry
            entry = self.parents.get(entry[0])

    def function_of(self, node: ast.AST) -> Function | None:
        """The innermost function that holds the node."""
        for parent, _ in self.around(node):
            if isinstance(parent, ast.FunctionDef | ast.AsyncFunctionDef):
                return parent
        return None

    def statement_of(self, node: ast.AST) -> ast.stmt | None:
        """The node itself or the innermost statement around it."""
        if isinstance(node, ast.stmt):
            return node
        return next((parent for parent, _ in self.around(node) if isinstance(parent, ast.stmt)), None)

    def segment(self, node: ast.AST) -> tuple[object, ...]:
        """The lines of a statement and its columns: equal segments are the same code."""
        first, last = node.lineno, node.end_lineno  # type: ignore[attr-defined]
        for decorator in getattr(node, "decorator_list", ()):
            first = min(first, decorator.lineno)
        columns = (node.col_offset, node.end_col_offset)  # type: ignore[attr-defined]
        return (*columns, *self.lines[first - 1 : last])


_SHARED = (ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop)


@dataclass(frozen=True)
class FileDiff:
    """A Python file before and after a patch with the changes of its syntax; `before` is None for a new file."""

    path: str
    before: ParsedFile | None
    after: ParsedFile
    changes: tuple[Change, ...]


def file_diff(path: str, before: str | None, after: str, tree: ast.Module | None = None) -> FileDiff | None:
    """The changes between two texts of a file; None when one of them cannot be parsed. `tree` is the syntax tree of
    `before`, if it is known."""
    try:
        new = ParsedFile(after)
        old = None if before is None else ParsedFile(before, tree)
        changes = tuple(_Comparison(old, new).run())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return FileDiff(path, old, new, changes)


class _Comparison:
    def __init__(self, before: ParsedFile | None, after: ParsedFile) -> None:
        self._before, self._after = before, after
        self._dumps: dict[ast.AST, str] = {}

    def run(self) -> Iterator[Change]:
        if self._before is None:
            for statement in self._after.tree.body:
                yield Change(None, statement, "body")
            return
        yield from self._lists(self._before.tree.body, self._after.tree.body, "body")

    def _pair(self, old: ast.AST, new: ast.AST, field: str) -> Iterator[Change]:
        if self._same(old, new):
            return
        if type(old) is not type(new) or (isinstance(old, ast.expr) and self._rewritten(old, new)):
            yield Change(old, new, field)
            return
        for name in old._fields:
            one, other = getattr(old, name, None), getattr(new, name, None)
            if name in _SKIPPED:
                continue
            if isinstance(one, list) and isinstance(other, list):
                if any(isinstance(item, _SHARED) for item in (*one, *other)):
                    if [type(item) for item in one] != [type(item) for item in other]:
                        yield Change(old, new, field)
                        return
                elif all(isinstance(item, ast.AST) for item in (*one, *other)):
                    yield from self._lists(one, other, name)
                elif one != other:
                    yield Change(old, new, field)
                    return
            elif isinstance(one, ast.AST) and isinstance(other, ast.AST):
                if isinstance(one, _SHARED):
                    if type(one) is not type(other):
                        yield Change(old, new, field)
                        return
                else:
                    yield from self._pair(one, other, name)
            elif one is None and isinstance(other, ast.AST):
                yield Change(None, other, name)
            elif isinstance(one, ast.AST) and other is None:
                yield Change(one, None, name)
            elif one != other or type(one) is not type(other):
                yield Change(old, new, field)
                return

    def _lists(
        self, old: list[ast.AST] | list[ast.stmt], new: list[ast.AST] | list[ast.stmt], field: str
    ) -> Iterator[Change]:
        start = 0
        while start < min(len(old), len(new)) and self._same(old[start], new[start]):
            start += 1
        end = 0
        while end < min(len(old), len(new)) - start and self._same(old[-1 - end], new[-1 - end]):
            end += 1
        one, other = list(old[start : len(old) - end]), list(new[start : len(new) - end])
        if len(one) == len(other) or max(len(one), len(other)) > _ALIGNED:
            yield from self._aligned(one, other, field)
            return
        keys, other_keys = [self._key(self._before, n) for n in one], [self._key(self._after, n) for n in other]
        for _, a, b, c, d in difflib.SequenceMatcher(None, keys, other_keys, autojunk=False).get_opcodes():
            # Equal keys may differ in white space inside strings.
            yield from self._aligned(one[a:b], other[c:d], field)

    def _aligned(self, one: list[ast.AST], other: list[ast.AST], field: str) -> Iterator[Change]:
        """Pairs nodes of the same type in order; the others were removed or added."""
        if len(one) == len(other):
            for old, new in zip(one, other, strict=True):
                yield from self._pair(old, new, field)
            return
        rest = list(other)
        for old in one:
            alike = [n for n, new in enumerate(rest[:_COMPARED]) if type(new) is type(old)]
            at = max(alike, key=lambda n: (self._likeness(old, rest[n]), -n)) if alike else None
            if at is None:
                yield Change(old, None, field)
                continue
            for new in rest[:at]:
                yield Change(None, new, field)
            yield from self._pair(old, rest[at], field)
            del rest[: at + 1]
        for new in rest:
            yield Change(None, new, field)

    def _rewritten(self, old: ast.AST, new: ast.AST) -> bool:
        """Whether an expression is put around the other, or their parts do not correspond."""
        if isinstance(old, ast.Call) and isinstance(new, ast.Call):
            arguments = [[self._dump(argument) for argument in call.args] for call in (old, new)]
            if _called(old.func) != _called(new.func) and arguments[0] != arguments[1]:
                return True
        one, other = self._dump(old), self._dump(new)
        return one in other or other in one

    def _same(self, old: ast.AST, new: ast.AST) -> bool:
        if self._before is not None and isinstance(old, ast.stmt) and isinstance(new, ast.stmt):
            if self._before.segment(old) == self._after.segment(new):
                return True
            # Compound statements are compared by their parts, which is faster.
            if type(old) is not type(new) or hasattr(old, "body"):
                return False
        return self._dump(old) == self._dump(new)

    def _key(self, file: ParsedFile | None, node: ast.AST) -> str:
        if file is not None and isinstance(node, ast.stmt):
            first, last = node.lineno, node.end_lineno or node.lineno
            lines = [line.strip() for line in file.lines[first - 1 : last]]
            return "\n".join(lines) if last > first else _columns(file.lines[first - 1], node)
        return self._dump(node)

    def _likeness(self, old: ast.AST, new: ast.AST) -> float:
        one, other = self._key(self._before, old)[:1000], self._key(self._after, new)[:1000]
        return difflib.SequenceMatcher(None, one, other, autojunk=False).quick_ratio()

    def _dump(self, node: ast.AST) -> str:
        text = self._dumps.get(node)
        if text is None:
            text = self._dumps[node] = ast.dump(node)
        return text


def _called(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _columns(line: str, node: ast.stmt) -> str:
    return line.encode(errors="replace")[node.col_offset : node.end_col_offset].decode(errors="replace")


def dumped(node: ast.AST) -> str:
    """A node as text without its place: equal texts are equal code."""
    return ast.dump(node)


def contains(outer: ast.AST, inner: ast.AST) -> bool:
    """Whether the code of `inner` occurs in `outer`."""
    wanted = ast.dump(inner)
    return any(type(node) is type(inner) and ast.dump(node) == wanted for node in ast.walk(outer))
