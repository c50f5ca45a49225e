"""One source file as text with its syntax tree: positions, parents, scopes.

Edits replace spans of the text, so that formatting, comments and line ends around them stay unchanged.
"""

import ast
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from core.source_encoding import encoding_of

MAX_BYTES = 600_000
_LINE_END = re.compile(r"\r\n|\r|\n")
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Unreadable(ValueError):
    """A file that cannot be edited; the message is a sentence for the report."""


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace the characters `start:end` of a file's text."""

    path: str
    start: int
    end: int
    text: str


class SourceFile:
    """A parsed file. Raises `Unreadable` for one that is not in its declared encoding (UTF-8 if none), is too large, or
    (unless `broken_ok`) does not parse; then `tree` is empty and `syntax_error` is set."""

    def __init__(self, path: str, content: bytes, *, broken_ok: bool = False) -> None:
        self.path = path
        if len(content) > MAX_BYTES:
            raise Unreadable(f"{path} is left out: it has {len(content)} bytes, more than {MAX_BYTES}.")
        try:
            self.encoding = encoding_of(path, content)
            self.text = content.decode(self.encoding)
        except LookupError as error:
            raise Unreadable(f"{path} is left out: {error.args[0]}.") from error
        except UnicodeDecodeError as error:
            name = "UTF-8" if self.encoding == "utf-8" else self.encoding
            raise Unreadable(f"{path} is left out: it is not {name} (byte {error.start}).") from error
        if self.encoding != "utf-8" and self.text.encode(self.encoding) != content:
            raise Unreadable(f"{path} is left out: its bytes are not those of its text in {self.encoding}.")
        self._mark = 1 if self.text.startswith("\ufeff") else 0
        self.syntax_error: SyntaxError | None = None
        try:
            self.tree = ast.parse(self.text[self._mark :])
        except SyntaxError as error:
            if not broken_ok:
                raise Unreadable(
                    f"{path} is left out: it does not parse ({error.msg}, line {error.lineno})."
                ) from error
            self.syntax_error, self.tree = error, ast.Module([], [])
        except (ValueError, RecursionError, MemoryError) as error:
            raise Unreadable(f"{path} is left out: it does not parse ({error}).") from error
        self._starts = [self._mark] + [m.end() for m in _LINE_END.finditer(self.text)]
        self._ascii = self.text.isascii()
        self._walked: dict[ast.AST, list[ast.AST]] = {}
        self.newline = "\r\n" if "\r\n" in self.text else "\n"

    @cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        found: dict[ast.AST, ast.AST] = {}
        stack: list[ast.AST] = [self.tree]
        while stack:
            node = stack.pop()
            for child in ast.iter_child_nodes(node):
                found[child] = node
                stack.append(child)
        return found

    def offset(self, line: int, column: int) -> int:
        """The character offset of a 1-based line and a column in UTF-8 bytes, as `ast` counts."""
        start = self._starts[line - 1]
        if self._ascii or column == 0:
            return start + column
        end = self._starts[line] if line < len(self._starts) else len(self.text)
        return start + len(self.text[start:end].encode()[:column].decode(errors="ignore"))

    def span(self, node: ast.AST) -> tuple[int, int]:
        at = node  # every node given here carries a position
        return (
            self.offset(at.lineno, at.col_offset),  # type: ignore[attr-defined]
            self.offset(at.end_lineno, at.end_col_offset),  # type: ignore[attr-defined]
        )

    def code(self, node: ast.AST) -> str:
        start, end = self.span(node)
        return self.text[start:end]

    def line_start(self, line: int) -> int:
        return self._starts[line - 1]

    def line_of(self, offset: int) -> int:
        return bisect_right(self._starts, offset) if offset >= self._mark else 1

    def line_text(self, line: int) -> str:
        end = self._starts[line] if line < len(self._starts) else len(self.text)
        return self.text[self._starts[line - 1] : end].rstrip("\r\n")

    @property
    def lines(self) -> int:
        return len(self._starts)

    def indent(self, statement: ast.stmt) -> str:
        """The white space before a statement; wrong only for one that shares its line with another."""
        line = self.line_text(self.first_line(statement))
        return line[: len(line) - len(line.lstrip())]

    @staticmethod
    def first_line(node: ast.AST) -> int:
        """A definition's first line, decorators included."""
        decorators = getattr(node, "decorator_list", None)
        line: int = node.lineno  # type: ignore[attr-defined]
        return min([line, *(d.lineno for d in decorators)]) if decorators else line

    def starts_line(self, statement: ast.stmt) -> bool:
        """Whether nothing but white space stands before the statement on its line."""
        line = self.first_line(statement)
        start = self.offset(statement.lineno, statement.col_offset) if line == statement.lineno else None
        return start is None or not self.text[self.line_start(line) : start].strip()

    def walk(self, node: ast.AST) -> list[ast.AST]:
        """`ast.walk` as a cached list, since operators walk the same functions many times."""
        found = self._walked.get(node)
        if found is None:
            found = self._walked[node] = list(ast.walk(node))
        return found

    def function_of(self, node: ast.AST) -> Function | None:
        """The innermost function whose body holds the node."""
        current = self.parents.get(node)
        while current is not None and not isinstance(current, ast.FunctionDef | ast.AsyncFunctionDef):
            current = self.parents.get(current)
        return current

    def class_of(self, node: ast.AST) -> ast.ClassDef | None:
        current = self.parents.get(node)
        while current is not None and not isinstance(current, ast.ClassDef):
            current = self.parents.get(current)
        return current

    def outermost_function(self, offset: int) -> tuple[Function, list[str]] | None:
        """The outermost function around an offset, decorators included, with its chain of class names and its own
        name; None at module or class level."""
        line = self.line_of(offset)
        body: list[ast.stmt] = self.tree.body
        chain: list[str] = []
        while True:
            for statement in body:
                end = statement.end_lineno or statement.lineno
                if self.first_line(statement) <= line <= end:
                    break
            else:
                return None
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
                return statement, [*chain, statement.name]
            if isinstance(statement, ast.ClassDef):
                chain.append(statement.name)
                body = statement.body
            elif isinstance(statement, ast.If | ast.Try | ast.With):
                nested: list[ast.stmt] = list(statement.body)
                nested += getattr(statement, "orelse", [])
                nested += getattr(statement, "finalbody", [])
                for handler in getattr(statement, "handlers", []):
                    nested += handler.body
                body = nested
            else:
                return None

    @cached_property
    def statements(self) -> dict[int, list[ast.stmt]]:
        """Statements by the line they start on."""
        found: dict[int, list[ast.stmt]] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.stmt):
                found.setdefault(node.lineno, []).append(node)
        return found

    def own_nodes(self, statement: ast.stmt) -> Iterator[ast.AST]:
        """The statement's own expressions: those of nested statements are left out."""
        stack: list[ast.AST] = [statement]
        while stack:
            node = stack.pop()
            yield node
            for child in ast.iter_child_nodes(node):
                if not isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
                    stack.append(child)

    def symbol_at(self, line: int) -> str:
        """The dotted name of the function or class around a line; empty at module level."""
        names: list[str] = []
        body: list[ast.stmt] = self.tree.body
        while True:
            for statement in body:
                if self.first_line(statement) <= line <= (statement.end_lineno or statement.lineno):
                    break
            else:
                return ".".join(names)
            if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                return ".".join(names)
            names.append(statement.name)
            body = statement.body


def apply_edits(text: str, edits: tuple[Edit, ...]) -> str:
    """The text with non-overlapping edits made. Raises `ValueError` when two overlap."""
    out = []
    position = 0
    for edit in sorted(edits, key=lambda e: (e.start, e.end)):
        if edit.start < position:
            raise ValueError("edits overlap")
        out.append(text[position : edit.start])
        out.append(edit.text)
        position = edit.end
    out.append(text[position:])
    return "".join(out)
