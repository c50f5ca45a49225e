"""Lines of release notes with the tests that refer to the same issue, from the sources of public releases alone.

A test counts as one of a line when its name, text or comment has the line's issue number; the numbers are then taken
out of both. Nothing is run, so the program's functions that a test executes are those that it names. Not for scores
(`tests.bench.relation`).
"""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from assets.evals.harvest.released_tests import files_of, is_released_test, test_files
from assets.evals.harvest.releases import ReleaseUnavailable, fetch_release
from assets.executions.repository.protected_paths import is_test_path
from assets.executions.trial.relation.facts import TestFacts
from core.work import TaskText

RELEASES = {
    "dev": (("click", "8.4.0"), ("anyio", "4.13.0"), ("sqlparse", "0.6.1"), ("isort", "9.0.2")),
    "check": (("marshmallow", "3.22.0"), ("pytest", "9.2.0"), ("markdown", "3.11.3"), ("werkzeug", "3.1.9"),
              ("attrs", "26.1.0")),
}  # fmt: skip
MOST_LINES = 30
"""Lines of one release that are used, evenly spread over its notes."""
_MOST_BYTES = 3 << 20
_NOTES = re.compile(
    r"(?i)(?:changes?|changelog|history|news|release[-_ ]?notes?|releases|versionhistory|change_log|whats[-_]?new|api)"
    r"(?:[-_.\w]*)?\.(?:rst|md|txt)|changes|changelog|history|news"
)
_REFERENCE = re.compile(
    r"(?:#|issues?/|pull/|:issue:`|:pr:`|:gh:`|:pull:`|\b(?:gh|GH)-?|[Ii]ssue[s_ #-]{0,2}|bug[_ #-]?|[Tt]icket[_ #-]?)"
    r"(\d{2,6})(?!\d)"
)
_ITEM = re.compile(r"\s*(?:[-*+•]|\d+\.)\s+")
_NOT_ABOUT_IT = re.compile(r"https?://\S+|:user:`[^`]*`|@\w+")


@dataclass(frozen=True)
class Line:
    """One item of the release notes without its references, and the tests that have the same `references`."""

    task: TaskText
    references: frozenset[str]
    tests: tuple[TestFacts, ...]


@dataclass(frozen=True)
class Notes:
    """The lines of one release that have tests. `background` are the other tests, `functions` those of `Corpus`."""

    lines: tuple[Line, ...]
    background: tuple[TestFacts, ...]
    functions: dict[str, str]


def notes(split: str) -> Iterator[Notes]:
    """The lines of each release of one half. A release that cannot be fetched is named on stderr and left out."""
    for package, version in RELEASES[split]:
        try:
            yield read_notes(fetch_release(package, version))
        except ReleaseUnavailable as error:
            sys.stderr.write(f"{package} {version}: left out: {error}\n")


def read_notes(root: Path) -> Notes:
    """The lines of an unpacked release that have one to four tests."""
    functions = _program(root)
    named = defaultdict(list)
    for function in functions:
        named[function.rpartition("::")[2].rpartition(".")[2]].append(function)
    telling = {name: found for name, found in named.items() if len(found) <= 3 and len(name) > 3}
    tests: dict[str, TestFacts] = {}
    referring = defaultdict(set)
    for test, source, comment in _tests(root):
        path, _, name = test.rpartition("::")
        for reference in _REFERENCE.findall(f"{name} {comment} {source}"):
            referring[reference].add(test)
        plain = _REFERENCE.sub("", source)
        executed = frozenset(one for word in set(re.findall(r"\w+", plain)) for one in telling.get(word, ()))
        tests[test] = TestFacts(f"{path}::{_REFERENCE.sub('', name)}", plain, executed)
    found = []
    for item in _items(root):
        references = frozenset(_REFERENCE.findall(item))
        own = sorted({test for reference in references for test in referring[reference]})
        if 1 <= len(own) <= 4 and len(references) <= 2 and 20 < len(item) < 600:
            text = re.sub(r"\s+", " ", _NOT_ABOUT_IT.sub("", _REFERENCE.sub("", item))).strip()
            found.append((Line(TaskText(title=text, body=""), references, tuple(tests[test] for test in own)), own))
    chosen = found[:: max(1, len(found) // MOST_LINES)][:MOST_LINES]
    used = {test for _, own in chosen for test in own}
    background = tuple(facts for test, facts in tests.items() if test not in used)
    return Notes(tuple(line for line, _ in chosen), background, functions)


def _items(root: Path) -> Iterator[str]:
    """The items of lists in the release's notes, each as one line."""
    for name in files_of(root):
        path = root / name
        if not _NOTES.fullmatch(path.name) or is_released_test(name) or path.stat().st_size > _MOST_BYTES:
            continue
        item: list[str] = []
        for line in [*path.read_text(encoding="utf-8", errors="replace").splitlines(), ""]:
            start = _ITEM.match(line)
            if item and not start and line.strip() and line[0].isspace():
                item.append(line.strip())
                continue
            if item:
                yield " ".join(item)
            item = [line[start.end() :].strip()] if start else []


def _program(root: Path) -> dict[str, str]:
    """The program's functions, `path::qualified.name` to text."""
    names = [name for name in files_of(root) if name.endswith(".py") and not is_test_path(name)]
    return {
        f"{name}::{'.'.join(where)}": "\n".join(lines[node.lineno - 1 : node.end_lineno])
        for name in names
        if not is_released_test(name)
        for lines, where, node in _functions(root / name)
    }


def _tests(root: Path) -> Iterator[tuple[str, str, str]]:
    """The id of each test, its text with decorators, and that text with the comment above it."""
    for name in test_files(root):
        for lines, where, node in _functions(root / name):
            if not where[-1].lower().startswith("test"):
                continue
            start = above = min([one.lineno for one in node.decorator_list] + [node.lineno]) - 1
            while above and lines[above - 1].strip().startswith("#"):
                above -= 1
            yield "::".join((name, *where)), "\n".join(lines[start : node.end_lineno]), "\n".join(lines[above:start])


_Function = ast.FunctionDef | ast.AsyncFunctionDef


def _functions(path: Path) -> Iterator[tuple[list[str], tuple[str, ...], _Function]]:
    """The lines of a file, and each function of the module and its classes with the names that lead to it."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.stat().st_size <= _MOST_BYTES else ""
    try:
        waiting: list[tuple[ast.AST, tuple[str, ...]]] = [(ast.parse(text), ())]
    except (SyntaxError, ValueError):
        return
    lines = text.split("\n")
    while waiting:
        parent, outer = waiting.pop()
        for child in ast.iter_child_nodes(parent):
            if isinstance(child, _Function):
                yield lines, (*outer, child.name), child
            elif isinstance(child, ast.ClassDef):
                waiting.append((child, (*outer, child.name)))
