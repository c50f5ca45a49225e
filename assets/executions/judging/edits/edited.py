"""A patch as the measures see it: the syntax that it introduces and removes, with the issue, the tests and the program.

Everything is computed on first use and bounded. Not for judging.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from assets.executions.tokenizer import identifiers, words

from .changes import FileDiff, ProgramFile, file_diff

MAX_NODES = 2_000
"""Nodes of changed code that are looked at; a larger patch is judged by its first ones."""
MAX_PROGRAM = 400_000
"""Characters of the program that are searched for names and values."""
_TOLD = (ast.Name, ast.Constant, ast.Attribute, ast.Call, ast.Compare, ast.Subscript, ast.BoolOp, ast.UnaryOp,
         ast.BinOp, ast.stmt, ast.ExceptHandler, ast.JoinedStr, ast.IfExp)  # fmt: skip


@dataclass(frozen=True)
class EditedProgram:
    """`diffs` are the changed Python files that parse, tests left out; `issue` is the task's text, `tests` the joined
    sources of the target tests, `sources` the program's files before the patch."""

    diffs: tuple[FileDiff, ...]
    issue: str
    tests: str
    sources: Mapping[str, ProgramFile]

    @cached_property
    def introduced(self) -> list[tuple[FileDiff, ast.AST]]:
        """Nodes of the new code that do not occur in the code that it replaces. Operators, contexts and small parts of
        syntax are left out."""
        known = {ast.dump(node) for diff in self.diffs for change in diff.changes for node in _nodes(change.before)}
        return [
            (diff, node)
            for diff in self.diffs
            for change in diff.changes
            for node in _nodes(change.after)
            if ast.dump(node) not in known
        ]

    @cached_property
    def removed(self) -> list[tuple[FileDiff, ast.AST]]:
        """Nodes of the replaced code that do not occur in the new code."""
        known = {ast.dump(node) for diff in self.diffs for change in diff.changes for node in _nodes(change.after)}
        return [
            (diff, node)
            for diff in self.diffs
            for change in diff.changes
            for node in _nodes(change.before)
            if ast.dump(node) not in known
        ]

    @cached_property
    def program(self) -> str:
        """The text of the program before the patch, the changed files first."""
        changed = [diff.path for diff in self.diffs]
        pieces: list[str] = []
        size = 0
        for path in (*changed, *(path for path in self.sources if path not in changed)):
            source = self.sources.get(path)
            if source is not None:
                pieces.append(source.text)
                size += len(source.text)
            if size > MAX_PROGRAM:
                break
        return "\n".join(pieces)

    @cached_property
    def issue_names(self) -> set[str]:
        return identifiers(self.issue)

    @cached_property
    def issue_words(self) -> set[str]:
        return words(self.issue)

    def mentioned(self, text: str) -> bool:
        """Whether the issue has this text as a word."""
        return re.search(rf"(?<!\w){re.escape(text)}(?!\w)", self.issue) is not None


def edited_program(
    before: Mapping[str, str | None],
    after: Mapping[str, str | None],
    issue: str,
    test_sources: Mapping[str, str],
    sources: Mapping[str, ProgramFile],
) -> EditedProgram:
    """Compares both versions of each changed Python file. Files that do not parse are left out."""
    diffs = []
    for path in sorted(after):
        new, old = after[path], before.get(path)
        if new is None or not path.endswith((".py", ".pyi")) or new == old:
            continue
        source = sources.get(path) if old is not None else None
        tree = source.tree if source is not None and source.text == old and source.syntax_error is None else None
        diff = file_diff(path, old, new, tree)
        if diff is not None:
            diffs.append(diff)
    return EditedProgram(tuple(diffs), issue, "\n".join(test_sources.values()), sources)


def _nodes(root: ast.AST | None) -> Iterator[ast.AST]:
    if root is None:
        return
    for count, node in enumerate(ast.walk(root)):
        if count > MAX_NODES:
            return
        if isinstance(node, _TOLD) and not hasattr(node, "body"):
            yield node
