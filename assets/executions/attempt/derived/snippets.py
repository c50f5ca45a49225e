"""Claims from code blocks that call the project: an `assert`, `pytest.raises`, a comment beside a call, or a call at
the end whose result the sentences around it state."""

import ast
import io
import re
import tokenize

from assets.executions.attempt.derived.beside import stated_beside
from assets.executions.attempt.derived.claims import Claim, Kind, Stated
from assets.executions.attempt.derived.markdown import Block
from assets.executions.attempt.derived.reading import Reading
from assets.executions.attempt.derived.safe_code import literal, parsed
from assets.executions.attempt.derived.stated import Roles, of_comment

MOST_STATEMENTS = 60
_LANGUAGES = ("", "python", "py", "python3", "pycon", "ipython", "py3")


def is_snippet(block: Block, reading: Reading) -> bool:
    return block.code and block.language in _LANGUAGES and reading.mentions_project(block.text)


def claims_of_snippet(reading: Reading, at: int) -> list[Claim]:
    """The claims of the code block at this position."""
    text = reading.blocks[at].text
    tree = parsed(text)
    if tree is None:
        return []
    tests = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test")]
    if tests and not tests[0].args.args:  # a failing test in the issue: its body is the example
        rest = [node for node in tree.body if node not in tests]
        statements = [*rest, *tests[0].body]
    else:
        statements = tree.body
    statements = statements[:MOST_STATEMENTS]
    comments = _comments(text)
    group = reading.group()
    found: list[Claim] = []
    before: list[str] = []
    for number, node in enumerate(statements):
        code = ast.unparse(node)
        following = statements[number + 1].lineno if number + 1 < len(statements) else 1 << 30
        roles, plain = _stated(comments, node.end_lineno or node.lineno, following)
        claim = _claim(node, roles, plain)
        if claim is not None:
            found.append(Claim("snippet", claim.subject, "\n".join([*before, claim.code]).strip("\n"), claim.expected,
                               claim.actual, claim.shown, group=group))  # fmt: skip
        if _leads_on(node, claim):
            before.append(code)
    found = found or _last(reading, at, statements, before, group)
    reading.remember("\n".join(before))
    return [made for claim in found if (made := reading.claim(claim)) is not None]


def commented(source: str) -> tuple[str, Roles, Stated | None]:
    """A statement without its comments, and what these state."""
    tree = parsed(source)
    roles, plain = _stated(_comments(source), 0, 1 << 30)
    return (ast.unparse(tree) if tree is not None else source), roles, plain


def _claim(node: ast.stmt, roles: Roles, plain: Stated | None) -> Claim | None:
    """The claim of one statement, by itself or with the comment beside it."""
    if isinstance(node, ast.Assert):
        return _asserted(node, roles)
    if raised := _raises(node):
        return Claim("snippet", "\n".join(map(ast.unparse, node.body)), expected=Stated(Kind.RAISES, raised),  # type: ignore[attr-defined]
                     actual=roles.actual)  # fmt: skip
    if roles == Roles() and plain is None:
        return None
    subject = _subject(node)
    if subject is None:
        return None
    code, what = subject
    expected, actual, shown = roles.expected, roles.actual, plain
    if shown is not None and (expected is not None or actual is not None):
        shown = None
    if _printed(node) is not None:
        expected, actual, shown = _output(expected), _output(actual), _output(shown)
    return Claim("snippet", what, code, expected, actual, shown)


def _leads_on(node: ast.stmt, claim: Claim | None) -> bool:
    """Whether later claims need the statement: not those that only show a result, or raise."""
    if isinstance(node, ast.Assert) or _raises(node) or (_printed(node) is not None):
        return False
    stated = (claim.expected, claim.actual, claim.shown) if claim is not None else ()
    return not any(one is not None and one.kind is Kind.RAISES for one in stated)


def _asserted(node: ast.Assert, roles: Roles) -> Claim:
    test = node.test
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq | ast.Is):
        left, right = test.left, test.comparators[0]
        if isinstance(left, ast.Constant):
            left, right = right, left
        return Claim("snippet", ast.unparse(left), expected=Stated(Kind.VALUE, ast.unparse(right)), actual=roles.actual)
    return Claim("snippet", ast.unparse(test), expected=Stated(Kind.TRUE), actual=roles.actual)


def _last(reading: Reading, at: int, statements: list[ast.stmt], before: list[str], group: int) -> list[Claim]:
    """The claim of the last call of a block, of which the text beside it states the result."""
    roles = stated_beside(reading, at)
    if roles == Roles() or not statements or (subject := _subject(statements[-1])) is None:
        return []
    code, what = subject
    lines = [*before[:-1], code]
    expected, actual = roles.expected, roles.actual
    if _printed(statements[-1]) is not None:
        expected, actual = _output(expected), _output(actual)
    return [Claim("snippet", what, "\n".join(line for line in lines if line), expected, actual, group=group)]


def _subject(node: ast.stmt) -> tuple[str, str] | None:
    """What is judged of a statement: (code before it, expression or statement)."""
    if isinstance(node, ast.Expr):
        return "", ast.unparse(node)
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        return "", ast.unparse(node.value)
    return None


def _printed(node: ast.stmt) -> ast.expr | None:
    """What a statement prints, where it is a call of `print` with one argument."""
    call = node.value if isinstance(node, ast.Expr) else None
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "print":
        return call.args[0] if len(call.args) == 1 and not call.keywords else None
    return None


def _output(stated: Stated | None) -> Stated | None:
    """What printing writes for a value that is stated."""
    if stated is None or stated.kind is Kind.RAISES:
        return stated
    value = literal(stated.text)
    text = str(value[0]) if value is not None else stated.text
    return Stated(Kind.OUTPUT, text)


def _raises(node: ast.stmt) -> str:
    """The exception of a `with pytest.raises(...)` statement, else empty."""
    if isinstance(node, ast.With) and len(node.items) == 1 and isinstance(call := node.items[0].context_expr, ast.Call):
        named = ast.unparse(call.func).rpartition(".")[2] in ("raises", "assertRaises")
        if named and call.args and re.fullmatch(r"[\w.]+", name := ast.unparse(call.args[0])):
            return name
    return ""


def _comments(text: str) -> dict[int, str]:
    """The comments of code by line."""
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, SyntaxError, ValueError):
        return {}
    return {token.start[0]: token.string for token in tokens if token.type == tokenize.COMMENT}


def _stated(comments: dict[int, str], line: int, following: int) -> tuple[Roles, Stated | None]:
    """What comments from a statement's last line up to the next statement state."""
    roles, plain = Roles(), None
    for at, comment in sorted(comments.items()):
        if (line <= at < following and at <= line + 4) or line == 0:
            found, shown = of_comment(comment)
            roles = Roles(roles.expected or found.expected, roles.actual or found.actual)
            plain = plain or shown
    return roles, plain
