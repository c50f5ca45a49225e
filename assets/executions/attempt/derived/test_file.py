"""Writes claims as a test file of the project: where its tests are, named and written as they are."""

import ast
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from assets.executions.attempt.derived.choose import Kept
from assets.executions.attempt.derived.claims import Claim, Kind, Stated
from assets.executions.attempt.derived.project_names import bound_names
from assets.executions.attempt.derived.safe_code import is_expression, literal, parsed
from assets.executions.repository.protected_paths import is_test_path

MOST_TITLE = 80
_SMALL = frozenset({"a", "an", "the", "of", "is", "in", "to", "and", "for", "with", "on", "it"})


def place(root: Path, tests: Iterable[str], title: str) -> str:
    """The path of a new test file: in the folder with most of the test files, named like them. `tests` are ids."""
    files = {test.partition("::")[0] for test in tests}
    files = {file for file in files if file.endswith(".py") and is_test_path(file)}
    folders = Counter(file.rpartition("/")[0] for file in files)
    folder = min(folders, key=lambda name: (-folders[name], len(name), name)) if folders else ""
    behind = sum(file.endswith("_test.py") for file in files) > len(files) / 2
    words = [word for word in re.findall(r"[a-z0-9]+", title.lower()) if word not in _SMALL]
    slug = "_".join(words)[:40].strip("_") or "example"
    for number in ("", *(f"_{n}" for n in range(2, 100))):
        name = f"issue_{slug}{number}_test.py" if behind else f"test_issue_{slug}{number}.py"
        path = f"{folder}/{name}" if folder else name
        if not (root / path).exists():
            return path
    raise FileExistsError(path)


def render(kept: Sequence[Kept], title: str, *, unittest: bool = False) -> str:
    """The text of the test file. Deterministic."""
    imports: dict[str, None] = {}
    bodies = []
    names: Counter[str] = Counter()
    lines = {line for one in kept for line in _imports_of(one.claim)}
    above = {line for line in lines if not _conflicts(line, lines)}
    for one in kept:
        body, needs = _body(one, unittest)
        own = _imports_of(one.claim)
        imports |= dict.fromkeys([*needs, *(line for line in own if line in above)])
        code, subject_lines = _without_imports(one.claim.code, above)
        local = [line for line in own if line not in above and line not in one.claim.code.split("\n")]
        name = _name(one.claim)
        names[name] += 1
        name = name if names[name] == 1 else f"{name}_{names[name]}"
        bodies.append((name, [*local, *code.split("\n"), *body] if code or subject_lines else [*local, *body]))
    needed = dict.fromkeys([*imports, "import unittest"] if unittest else imports)
    pieces = [f'"""{_docstring(title)}"""', _sorted_imports(needed)]
    tests = [_function(name, body, method=unittest) for name, body in bodies]
    if unittest:
        pieces.append("\nclass IssueTest(unittest.TestCase):\n" + "\n\n".join(_indent(test) for test in tests))
    else:
        pieces += [f"\n{test}" for test in tests]
    return "\n\n".join(piece for piece in pieces if piece.strip()) + "\n"


def _body(kept: Kept, unittest: bool) -> tuple[list[str], list[str]]:
    """The lines that judge the subject, and the imports that they need."""
    claim, seen = kept.claim, kept.seen
    subject, expected = claim.subject, claim.expected
    if expected is None:
        why = f"  # raised {claim.actual.text}" if claim.actual is not None and "\n" not in subject else ""
        return f"{subject}{why}".split("\n"), []
    if expected.kind is Kind.RAISES:
        manager, needs = (
            (f"self.assertRaises({expected.text})", [])
            if unittest
            else (f"pytest.raises({expected.text})", ["import pytest"])
        )
        return [f"with {manager}:", *_indent(subject).split("\n")], needs
    printed = expected.kind is Kind.OUTPUT or (
        expected.kind is Kind.SHOWN
        and (not is_expression(subject) or subject.startswith("print(") or (seen.printed and seen.nothing))
    )
    if printed:
        lines = ["with redirect_stdout(io.StringIO()) as out:", *_indent(subject).split("\n")]
        return [*lines, f"assert out.getvalue().strip() == {expected.text.strip()!r}"], [
            "import io", "from contextlib import redirect_stdout"]  # fmt: skip
    if expected.kind is Kind.TRUE:
        return [f"assert {subject}"], []
    return _compared(subject, expected, kept)


def _compared(subject: str, expected: Stated, kept: Kept) -> tuple[list[str], list[str]]:
    """The assertion that a call gives a value, or what an interactive session shows for it."""
    left = subject if _is_simple(subject) else f"({subject})"
    value = literal(expected.text)
    if expected.kind is Kind.VALUE or (value is not None and not kept.seen.equal):
        text = expected.text.strip()
        same = "is" if value is not None and (value[0] is None or isinstance(value[0], bool)) else "=="
        return [f"assert {left} {same} {text if _is_simple(text) else f'({text})'}"], []
    if not expected.exact:
        if kept.seen.text:
            return [f"assert {left} == {expected.text!r}"], []
        return [f"result = {subject}", f"assert {expected.text!r} in (str(result), repr(result))"], []
    if "..." in expected.text or "\n" in expected.text:
        needs = ["from doctest import ELLIPSIS, NORMALIZE_WHITESPACE, OutputChecker"]
        flags = "ELLIPSIS | NORMALIZE_WHITESPACE"
        return [f"shown = repr({subject}) + '\\n'",
                f"assert OutputChecker().check_output({expected.text + chr(10)!r}, shown, {flags})"], needs  # fmt: skip
    return [f"assert repr({subject}) == {expected.text!r}"], []


def _is_simple(code: str) -> bool:
    tree = parsed(code)
    node = tree.body[0] if tree is not None and len(tree.body) == 1 else None
    simple = (ast.Call, ast.Name, ast.Attribute, ast.Subscript, ast.Constant, ast.List, ast.Dict, ast.Set, ast.Tuple,
              ast.UnaryOp, ast.JoinedStr, ast.ListComp, ast.DictComp, ast.SetComp)  # fmt: skip
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, simple)
        and "\n" not in code
        and (not isinstance(node.value, ast.Tuple) or code.startswith("("))
    )


def _imports_of(claim: Claim) -> list[str]:
    """All import statements of a claim's top level."""
    tree = parsed(claim.code)
    own = [ast.unparse(n) for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)] if tree is not None else []
    return list(dict.fromkeys([*claim.imports, *own]))


def _without_imports(code: str, above: set[str]) -> tuple[str, bool]:
    """The code without the imports that stand above all tests, and whether anything is left."""
    tree = parsed(code)
    if tree is None:
        return code, bool(code)
    kept = [n for n in tree.body if not (isinstance(n, ast.Import | ast.ImportFrom) and ast.unparse(n) in above)]
    text = "\n".join(ast.unparse(node) for node in kept)
    return text, bool(text)


def _conflicts(line: str, lines: set[str]) -> bool:
    """Whether another import binds the same name. What a star brings is not known, and must stand above."""
    tree = parsed(line)
    if tree is None or "*" in line or line.startswith("import "):
        return False
    bound = bound_names(tree)
    return any(other != line and bound & bound_names(found) for other in lines if (found := parsed(other)) is not None)


def _name(claim: Claim) -> str:
    """A test's name, by the function that is called."""
    tree = parsed(claim.subject)
    called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)] if tree is not None else []
    names = [f.id if isinstance(f, ast.Name) else f.attr for f in called if isinstance(f, ast.Name | ast.Attribute)]
    chosen = next(
        (n for n in names if n not in ("print", "list", "str", "dict", "repr", "len", "run_module")), "example"
    )
    chosen = "command" if claim.command else chosen
    return "test_" + (re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", chosen).lower().strip("_")[:60] or "example")


def _function(name: str, body: list[str], *, method: bool) -> str:
    lines = [line for line in body if line.strip()]
    return f"def {name}({'self' if method else ''}):\n{_indent(chr(10).join(lines))}"


def _indent(text: str) -> str:
    """The text four columns in, strings of several lines unchanged."""
    tree = parsed(text)
    inside: set[int] = set()
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.Constant | ast.JoinedStr) and (node.end_lineno or 0) > node.lineno:
            inside |= set(range(node.lineno + 1, (node.end_lineno or 0) + 1))
    lines = text.split("\n")
    return "\n".join(line if at in inside or not line else f"    {line}" for at, line in enumerate(lines, 1))


def _sorted_imports(lines: Iterable[str]) -> str:
    plain = sorted(line for line in lines if not line.startswith("from __future__"))
    return "\n".join(plain)


def _docstring(title: str) -> str:
    plain = re.sub(r"[^\w .,:()+*/<>=-]", "", title)[:MOST_TITLE].strip()
    return f"From the issue: {plain}." if plain else "From the issue."
