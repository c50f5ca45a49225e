"""A doubt about patches for failures that may come from what the machine lacks: on the unchanged commit, the failing
tests execute a handler of the program for a missing package, locale, time zone, network or permission.

The program hides there what `trial/environment` would name. Its answer without the missing thing may be wrong all the
same, so this justifies a draft, not a refusal.
"""

import ast
from collections.abc import Collection, Iterator, Mapping

from assets.executions.judging.behaviour.spans import blocks, function_lines
from assets.executions.trial.baseline import Baseline
from core.work import Doubt, Outcome

LACKS: Mapping[str, str] = {
    "ImportError": "a package",
    "ModuleNotFoundError": "a package",
    "PackageNotFoundError": "a package",
    "DistributionNotFound": "a package",
    "locale.Error": "a locale",
    "ZoneInfoNotFoundError": "time zone data",
    "UnknownTimeZoneError": "time zone data",
    "gaierror": "a network",
    "herror": "a network",
    "URLError": "a network",
    "ConnectionRefusedError": "a network",
    "PermissionError": "a permission",
}
"""Exceptions by what is missing where they are raised."""
_BROAD = frozenset({"", "Exception", "BaseException", "OSError", "EnvironmentError", "IOError", "LookupError",
                    "KeyError", "ValueError", "FileNotFoundError", "SubprocessError", "Error"})  # fmt: skip
"""Handlers that also catch one of these where the block before them asks the machine for something."""
_ASKS: Mapping[str, str] = {
    "setlocale": "a locale",
    "ZoneInfo": "time zone data",
    "import_module": "a package",
    "__import__": "a package",
    "getaddrinfo": "a network",
    "gethostbyname": "a network",
    "create_connection": "a network",
    "urlopen": "a network",
    "check_output": "a program",
    "check_call": "a program",
    "Popen": "a program",
}
"""Calls by what they ask the machine for."""


def lacking_doubt(
    before: Mapping[str, str | None],
    after: Mapping[str, str | None],
    baseline: Baseline,
    targets: Collection[str],
) -> Doubt | None:
    """The doubt when a target executes such a handler in a function that a patch changes, or, in a file that it
    changes, one that no passing test executes. `before` and `after` hold the text of each changed file."""
    executed = {baseline.places[n] for target in targets for n in baseline.hits.get(target, ())}
    passing = [test for test, outcome in baseline.run.outcomes.items() if outcome is Outcome.PASSED]
    usual = {baseline.places[n] for test in passing for n in baseline.hits.get(test, ())}
    for path, text in before.items():
        changed = after.get(path)
        if text is None or changed is None or not path.endswith(".py"):
            continue
        functions = [found[1:] for block in blocks(text, changed) if (found := function_lines(text, block.old))]
        for handler, lack in _handlers(text):
            lines = {(path, statement.lineno) for statement in handler.body}
            inside = any(first <= handler.lineno <= last for first, last in functions)
            if lines & executed and (inside or not lines & usual):
                caught = ast.unparse(handler.type) if handler.type is not None else "every exception"
                return Doubt(
                    kind="lacking-environment",
                    detail=(
                        f"On the unchanged commit, the failing tests reach the handler of `{caught}` in {path}:"
                        f"{handler.lineno}: {lack} that is missing where they run may be why they fail."
                    ),
                )
    return None


def _handlers(text: str) -> Iterator[tuple[ast.ExceptHandler, str]]:
    """The handlers of a file that catch what is raised where the machine lacks something, with what that is."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if not isinstance(node, ast.Try):
            continue
        asked = next(_asked(node.body), None)
        for handler in node.handlers:
            names = list(_names(handler.type))
            lack = next((LACKS[name] for name in names if name in LACKS), None)
            if lack is None and asked is not None and _BROAD.intersection(names):
                lack = asked
            if lack is not None:
                yield handler, lack


def _names(node: ast.expr | None) -> Iterator[str]:
    """The names of the exceptions that a handler catches, `locale.Error` with its module; empty for all."""
    if node is None:
        yield ""
    elif isinstance(node, ast.Tuple):
        for element in node.elts:
            yield from _names(element)
    elif isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute):
        dotted = ast.unparse(node)
        yield dotted if dotted in LACKS else node.attr


def _asked(body: list[ast.stmt]) -> Iterator[str]:
    """What the statements of a block ask the machine for."""
    for node in (inner for statement in body for inner in ast.walk(statement)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield "a package"
        elif isinstance(node, ast.Call):
            function = node.func
            name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            if name in _ASKS:
                yield _ASKS[name]
            elif name == "run" and ast.unparse(function) == "subprocess.run":
                yield "a program"
