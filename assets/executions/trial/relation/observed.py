"""Reads the facts about a repository's tests from its files and the run of its suite; imports and runs nothing."""

import ast
from collections.abc import Iterator
from pathlib import Path

from assets.executions.repository.protected_paths import is_test_path
from assets.executions.repository.test_text import test_text
from assets.executions.trial.baseline import Baseline
from sandbox.confined_files import read_confined

from .facts import MOST_BACKGROUND, Corpus, TestFacts

_MOST_BYTES = 1 << 20
_MOST_FILES = 400
_MOST_TEXT = 8_000


class Observed:
    """The tests of a repository at `root` as its suite was run, and the corpus of those that do not fail, which is made
    of `background` and `functions`."""

    def __init__(self, root: Path, baseline: Baseline) -> None:
        self._baseline = baseline
        self._tests = _TestSources(root)
        self.functions, self._at = _functions(root, baseline)
        failing = set(baseline.failing) | set(baseline.flaky)
        passing = sorted(test for test in baseline.tests if test not in failing)
        step = max(1, -(-len(passing) // MOST_BACKGROUND))
        self.background = [self.facts(test) for test in passing[::step]]
        self.corpus = Corpus(self.background, self.functions)

    def facts(self, test: str) -> TestFacts:
        hits = self._baseline.hits.get(test, ())
        executed = frozenset(self._at[place] for place in hits if place in self._at)
        return TestFacts(test, self._tests.source(test), executed, self._baseline.failures.get(test, ()))


class _TestSources:
    """The texts of tests' functions, found by their ids; each file is parsed once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._parsed: dict[str, tuple[str, ast.Module] | None] = {}
        self._texts: dict[str, str] = {}

    def source(self, test: str) -> str:
        """The text of a test's function without its decorators; empty when not found."""
        path, *names = test.partition("[")[0].split("::")
        if not path.endswith(".py"):
            return test_text(self._text(path), test.partition("::")[2])
        found = self._file(path)
        if found is None or not names:
            return ""
        text, node = found[0], found[1]
        place: ast.AST = node
        for name in names:
            inner = next((child for child in _definitions(place) if child.name == name), None)
            if inner is None:
                return ""
            place = inner
        return ast.get_source_segment(text, place) or ""

    def _text(self, path: str) -> str:
        """The text of a file in another language; empty for none, or after too many."""
        if path not in self._texts and len(self._texts) < _MOST_FILES:
            try:
                self._texts[path] = read_confined(self._root, path, _MOST_BYTES).decode(errors="replace")
            except (OSError, ValueError):
                self._texts[path] = ""
        return self._texts.get(path, "")

    def _file(self, path: str) -> tuple[str, ast.Module] | None:
        if path not in self._parsed and len(self._parsed) < _MOST_FILES:
            self._parsed[path] = _parse(self._root, path)
        return self._parsed.get(path)


def _definitions(node: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield child


def _parse(root: Path, path: str) -> tuple[str, ast.Module] | None:
    file = root / path
    try:
        inside = file.resolve().is_relative_to(root.resolve())
        if not inside or not file.is_file() or file.stat().st_size > _MOST_BYTES:
            return None
        text = file.read_text(encoding="utf-8")
        return text, ast.parse(text)
    except (OSError, UnicodeDecodeError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _functions(root: Path, baseline: Baseline) -> tuple[dict[str, str], dict[int, str]]:
    """The program's functions that tests execute, `path::name` to text, and the function at each executed place."""
    lines: dict[str, dict[int, list[int]]] = {}
    for number, (path, line) in enumerate(baseline.places):
        if not is_test_path(path):
            lines.setdefault(path, {}).setdefault(line, []).append(number)
    texts: dict[str, str] = {}
    at: dict[int, str] = {}
    for path in sorted(lines)[:_MOST_FILES]:
        parsed = _parse(root, path)
        for name, node in _named(parsed[1], "") if parsed is not None else ():
            key = f"{path}::{name}"
            texts[key] = "\n".join(_lines_of(parsed[0], node))[:_MOST_TEXT] if parsed is not None else ""
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            for line in range(first, (node.end_lineno or first) + 1):
                for number in lines[path].get(line, ()):
                    at[number] = key  # an inner function comes after the one around it
    return texts, at


def _named(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """The functions in a tree with their qualified names, outer ones first."""
    waiting: list[tuple[ast.AST, str]] = [(node, prefix)]
    while waiting:
        parent, outer = waiting.pop()
        for child in ast.iter_child_nodes(parent):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{outer}{child.name}", child
                waiting.append((child, f"{outer}{child.name}."))
            elif isinstance(child, ast.ClassDef):
                waiting.append((child, f"{outer}{child.name}."))
            elif isinstance(child, ast.stmt):
                waiting.append((child, outer))


def _lines_of(text: str, node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    return text.split("\n")[node.lineno - 1 : node.end_lineno]
