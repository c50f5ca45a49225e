"""Tests made from the examples in the issue, for when no test of the repository fails.

Only interactive examples (`>>> expression` with its output below) are used. One fails when the program gives
another output, so an issue that shows the wrong output reproduces nothing. A patch that rests on such an
example is a draft at most.
"""

import ast
import re
from collections.abc import Mapping

from assets.executions.engines.search.source import SourceFile

EXAMPLE_FILE = "test_penstock_issue_examples.py"
MAX_EXAMPLES = 10

_TEMPLATE = '''"""Examples from the issue, as tests."""

import doctest

import pytest

EXAMPLES = {examples!r}


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_issue_example(number):
    names = {{}}
    for line in {imports!r}:
        exec(line, names)
    test = doctest.DocTestParser().get_doctest(EXAMPLES[number], names, "issue", "issue", 0)
    said = []
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL
    result = doctest.DocTestRunner(optionflags=flags, verbose=False).run(test, out=said.append)
    assert result.failed == 0, "".join(said)
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
    """A test module with the issue's examples; None when there are no examples.

    Names that the examples use without importing them are imported from where the project defines them.
    """
    examples = examples_in(text)
    if not examples:
        return None
    used = {n.id for e in examples for n in ast.walk(ast.parse(_code(e))) if isinstance(n, ast.Name)}
    imports = []
    for path in sorted(list(sources)[:300]):
        source = sources.get(path)
        defined = {getattr(s, "name", "") for s in source.tree.body} if source is not None else set()
        if wanted := sorted((defined & used) - {""}):
            module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            imports.append(f"from {module.removeprefix('src.').removeprefix('lib.')} import {', '.join(wanted)}")
    return _TEMPLATE.format(examples=examples, imports=imports)


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
