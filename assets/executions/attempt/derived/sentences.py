"""Claims from calls in backticks within sentences: "`f(2)` returns 4 but should return 3"."""

import ast
import re

from assets.executions.attempt.derived.claims import Claim, Kind
from assets.executions.attempt.derived.reading import Reading
from assets.executions.attempt.derived.safe_code import is_expression, parsed
from assets.executions.attempt.derived.stated import Roles, roles_in

MOST_SPANS = 40
_SPAN = re.compile(r"(?<!`)(`{1,2})(?!`)([^`]{2,600})\1(?!`)")
_MESSAGE = re.compile(r"\b(?:messages?|wording|whose text|error text)\b", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?]\s")


def claims_of_paragraph(reading: Reading, at: int) -> list[Claim]:
    """The claims of the calls in the paragraph at this position. Statements in backticks lead to the calls behind
    them."""
    text = reading.blocks[at].text
    spans = list(_SPAN.finditer(text))[:MOST_SPANS]
    calls = [match for match in spans if _leads(_code(match)) or _is_call(reading, _code(match))]
    found: list[Claim] = []
    # Where the message is what is wrong, the exception itself may be right.
    about_messages = any(_MESSAGE.search(block.text) for block in reading.blocks if not block.code)
    for number, match in enumerate(calls):
        code = _code(match)
        if _leads(code):
            if reading.mentions_project(code):
                reading.remember(code)
            continue
        end = calls[number + 1].start() if number + 1 < len(calls) else len(text)
        begin = calls[number - 1].end() if number else 0
        roles = _roles(text, begin, match.start(), match.end(), end)
        if roles.expected is None and roles.actual is not None and roles.actual.kind is Kind.RAISES and about_messages:
            continue
        if roles != Roles():
            found.append(Claim("sentence", code, "", roles.expected, roles.actual, group=reading.group()))
    return [made for claim in found if (made := reading.claim(claim)) is not None]


def _roles(text: str, begin: int, start: int, stop: int, end: int) -> Roles:
    """What is stated behind the call, else before it in the same sentence."""
    behind = roles_in(text[stop:end])
    sentence = text[begin:start]
    cuts = [match.end() for match in _SENTENCE_END.finditer(sentence)]
    # What stands between two calls of a sentence is about the first.
    before = roles_in(sentence[cuts[-1] if cuts else 0 :]) if cuts or not begin else Roles()
    expected, actual = behind.expected or before.expected, behind.actual or before.actual
    return Roles(expected, None if expected == actual else actual)


def _code(match: re.Match[str]) -> str:
    return " ".join(match[2].split("\n")).strip()


def _leads(code: str) -> bool:
    """Whether code in backticks is statements that lead to a call, such as an assignment."""
    tree = parsed(code)
    return tree is not None and bool(tree.body) and not is_expression(code)


def _is_call(reading: Reading, code: str) -> bool:
    """Whether code in backticks is a call, or an item or attribute of something, that uses the project."""
    tree = parsed(code)
    if tree is None or not is_expression(code):
        return False
    calls = any(isinstance(node, ast.Call | ast.Subscript | ast.BinOp | ast.Compare) for node in ast.walk(tree))
    bare = any(isinstance(node, ast.Constant) and node.value is Ellipsis for node in ast.walk(tree))
    return calls and not bare and reading.mentions_project(code)
