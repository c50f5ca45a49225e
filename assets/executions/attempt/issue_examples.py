"""Tests made from the examples in the issue, for when no test of the repository fails.

Only interactive examples (`>>> expression` with its output below) are used. One fails when the program gives
another output, so an issue that shows the wrong output reproduces nothing. A patch that rests on such an
example is a draft at most.
"""

import ast
import builtins
import re
from collections.abc import Mapping

from assets.executions.engines.search.source import SourceFile

EXAMPLE_FILE = "test_penstock_issue_examples.py"
MAX_EXAMPLES = 10
MOST_SOURCES = 300
_ALWAYS = ("_", "__name__", "__file__")

_TEMPLATE = '''"""Examples from the issue, as tests."""

import doctest

import pytest

EXAMPLES = {examples!r}


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_issue_example(number):
    names = {{}}
    for line in {imports!r}:
        try:
            exec(line, names)
        except ImportError:
            pass
    test = doctest.DocTestParser().get_doctest(EXAMPLES[number], names, "issue", "issue", 0)
    said = []
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL
    result = doctest.DocTestRunner(optionflags=flags, verbose=False).run(test, out=said.append)
    lines = [line.strip() for line in "".join(said).splitlines() if not line.startswith(("***", "File "))]
    assert result.failed == 0, " ".join(lines)
'''


def examples_in(text: str) -> list[str]:
    """The interactive examples of a text, at most `MAX_EXAMPLES`: each is some `>>>` lines with their output."""
    found: list[str] = []
    current: list[str] = []
    for raw in [*text.splitlines(), ""]:
        line = raw.strip()
        starts = line.startswith(">>> ")
        if starts or (current and line.startswith("... ")) or (current and line and not line.startswith("```")):
            current.append(line)
        else:
            if any(not entry.startswith((">>>", "...")) for entry in current):
                found.append("\n".join(current) + "\n")
            current = []
    return [example for example in found if _parses(example)][:MAX_EXAMPLES]


def example_tests(text: str, sources: Mapping[str, SourceFile]) -> str | None:
    """A test module with the issue's examples; None when there are none that can be run.

    What the examples use without importing it is imported: names from where the project defines them, the project's own
    packages and modules, and what other examples of the text import. An example with a name that is nowhere would fail
    for that alone, so it is left out.
    """
    examples = examples_in(text)
    trees = [ast.parse(_code(example)) for example in examples]
    imports = [
        ast.unparse(node) for tree in trees for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    imports += _imports({name for tree in trees for name in _used(tree)}, sources)
    known = {*dir(builtins), *_ALWAYS, *(name for line in imports for name in _bound(ast.parse(line)))}
    usable = [
        example
        for example, tree in zip(examples, trees, strict=True)
        if {name.partition(".")[0] for name in _used(tree)} <= known | _bound(tree)
    ]
    return _TEMPLATE.format(examples=usable, imports=imports) if usable else None


def _imports(used: set[str], sources: Mapping[str, SourceFile]) -> list[str]:
    """Statements that import what is used from the project: dotted names of modules, and what modules define."""
    imports = []
    for path in sorted(list(sources)[:MOST_SOURCES]):
        module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        module = module.removeprefix("src.").removeprefix("lib.")
        if any(name == module or name.startswith(f"{module}.") for name in used):
            imports.append(f"import {module}")
        source = sources.get(path)
        defined = {getattr(s, "name", "") for s in source.tree.body} if source is not None else set()
        if wanted := sorted((defined & used) - {""}):
            imports.append(f"from {module} import {', '.join(wanted)}")
    return imports


def _used(tree: ast.Module) -> set[str]:
    """The names that an example uses, those with attributes also as dotted names."""
    found: set[str] = set()
    for node in ast.walk(tree):
        parts: list[str] = []
        inner: ast.AST = node
        while isinstance(inner, ast.Attribute):
            parts.append(inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load):
            found |= {inner.id, ".".join([inner.id, *reversed(parts)])}
    return found


def _bound(tree: ast.Module) -> set[str]:
    """The names that an example assigns, imports or defines."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            found.add(node.name)
    return found


def _code(example: str) -> str:
    """The example without prompts and output."""
    lines = [line for line in example.splitlines() if line[:3] in (">>>", "...")]
    return "\n".join(re.sub(r"^(>>>|\.\.\.) ?", "", line) for line in lines)


def _parses(example: str) -> bool:
    try:
        ast.parse(_code(example))
    except (SyntaxError, ValueError):
        return False
    return True
