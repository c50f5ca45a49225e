"""A reproduction from the issue's own examples, for when no test of the repository fails.

Only interactive examples (`>>> expression` with the output below) are taken, and only those whose output
the program does not give today can fail: an issue that shows the wrong output proves nothing here. The
gate lets what rests on them out as a draft at most.
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
    """The interactive examples of a text, one for each run of `>>>` lines with their output."""
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
    """A test module with the issue's examples; None when it has none that can be run.

    Names that the examples use without importing are imported from where the project defines them.
    """
    examples = examples_in(text)
    if not examples:
        return None
    code = "\n".join(
        re.sub(r"^(>>>|\.\.\.) ?", "", line) for e in examples for line in e.splitlines() if line[:3] in (">>>", "...")
    )
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError):
        return None
    used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    imports = []
    for path, source in sorted(_readable(sources).items()):
        defined = {getattr(s, "name", "") for s in source.tree.body}
        wanted = sorted((defined & used) - {""})
        if wanted:
            module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            imports.append(f"from {module.removeprefix('src.').removeprefix('lib.')} import {', '.join(wanted)}")
    return _TEMPLATE.format(examples=examples, imports=imports)


def _readable(sources: Mapping[str, SourceFile]) -> dict[str, SourceFile]:
    found = {}
    for path in list(sources)[:300]:
        source = sources.get(path)
        if source is not None:
            found[path] = source
    return found


def _parses(example: str) -> bool:
    lines = [re.sub(r"^(>>>|\.\.\.) ?", "", line) for line in example.splitlines() if line[:3] in (">>>", "...")]
    try:
        ast.parse("\n".join(lines))
    except (SyntaxError, ValueError):
        return False
    return True
