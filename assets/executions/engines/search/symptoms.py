"""What the failures say about the kind of fault: exception details, compared values, and literals nearby.

Symptoms only change the order in which edits are tried and suggest small values; they accept or reject nothing.
"""

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

from assets.executions.tokenizer import identifiers, literals
from assets.executions.trial.baseline import Failure

from .special_methods import missing_protocols, used_protocols

MISSING = object()


@dataclass
class Symptoms:
    """Gathered from the target failures, the text of their tests, and the issue."""

    raised: set[str] = field(default_factory=set)
    """Exception types that the program raised, or that a failure's message names."""
    expected_raise: set[str] = field(default_factory=set)
    """Exception types that the tests expect."""
    not_raised: bool = False
    hang: bool = False
    shows_none: bool = False
    """Whether a failure's message has a None in it, be it as text."""
    unknown_names: set[str] = field(default_factory=set)
    missing_attributes: set[tuple[str, str]] = field(default_factory=set)
    bad_keywords: set[str] = field(default_factory=set)
    missing_arguments: set[str] = field(default_factory=set)
    too_many_arguments: bool = False
    compares: list[tuple[str, str, str]] = field(default_factory=list)
    values: list[tuple[Any, Any]] = field(default_factory=list)
    """(left, right) values of failed equality comparisons, usually (actual, expected)."""
    string_changes: list[tuple[str, str, str, str]] = field(default_factory=list)
    """(old, new, text before, text after): what must change in an actual string to get the expected one."""
    literals: list[object] = field(default_factory=list)
    """Constants that the failing tests and the issue mention."""
    protocols: set[tuple[str, str]] = field(default_factory=set)
    """(class, special method) that a failure asks for; the class is empty where only a test uses the operation."""
    names: set[str] = field(default_factory=set)
    """Identifiers that the failing tests and the issue mention."""
    issue: str = ""
    expected_text: list[str] = field(default_factory=list)
    boosts: dict[str, float] = field(default_factory=dict)
    _factors: dict[str, float] = field(default_factory=dict)

    def boost(self, operator: str) -> float:
        """The factor for an operator `family:detail`: its own, times its family's."""
        factor = self._factors.get(operator)
        if factor is None:
            family = operator.split(":", 1)[0]
            factor = self._factors[operator] = self.boosts.get(operator, 1.0) * self.boosts.get(family, 1.0)
        return factor


def read_symptoms(failures: Iterable[Failure], sources: Iterable[str], issue: str) -> Symptoms:
    found = Symptoms(issue=issue)
    for failure in failures:
        _read_failure(found, failure)
    for source in sources:
        found.protocols |= {("", name) for name in used_protocols(source)}
        found.names |= set(re.findall(r"[A-Za-z_]\w*", source))
        found.literals.extend(v for v in _constants(source) if not _among(v, found.literals))
        found.expected_raise |= set(re.findall(r"(?:raises|assertRaises(?:Regex)?)\(\s*(?:\w+\.)*(\w+)", source))
        for match in re.finditer(r"match\s*=\s*r?(\"[^\"\n]*\"|'[^'\n]*')", source):
            found.expected_text.append(match[1][1:-1])
    found.names |= identifiers(issue)
    found.literals.extend(v for v in literals(issue) if not _among(v, found.literals))
    del found.literals[60:]
    _weigh(found)
    return found


def _read_failure(found: Symptoms, failure: Failure) -> None:
    text = f"{failure.message}\n{failure.cause}"
    found.shows_none = found.shows_none or re.search(r"\bNone(?:Type)?\b", failure.message) is not None
    kind = failure.type
    if kind in ("Hang", "TimeoutError", "Timeout"):
        found.hang = True
    if kind not in ("AssertionError", "Failed", "Hang"):
        found.raised.add(kind)
    if failure.cause:
        found.raised.add(failure.cause.split(":", 1)[0])
    found.raised |= set(re.findall(r"\b([A-Z]\w*(?:Error|Exception))\b", text)) - {"AssertionError"}
    for match in re.finditer(r"DID NOT RAISE (?:any of \()?<class '(?:[\w.]*\.)?(\w+)'>|(\w+) not raised", text):
        found.not_raised = True
        found.expected_raise.add(match[1] or match[2])
    for match in re.finditer(r"'?(\w+)'? (?:object )?has no attribute '(\w+)'", text):
        found.missing_attributes.add((match[1], match[2]))
    found.unknown_names |= set(re.findall(r"name '(\w+)' is not defined", text))
    for pair in re.findall(r"cannot import name '(\w+)'|No module named '(?:\w+\.)*(\w+)'", text):
        found.unknown_names |= {name for name in pair if name}
    found.unknown_names |= set(re.findall(r"variable '(\w+)' (?:referenced before|where it is not)", text))
    found.bad_keywords |= set(re.findall(r"unexpected keyword argument '(\w+)'", text))
    for match in re.finditer(r"missing \d+ required (?:positional|keyword-only) arguments?: (.*)", text):
        found.missing_arguments |= set(re.findall(r"'(\w+)'", match[1]))
    if re.search(r"takes .* positional arguments? but \d+ (?:was|were) given", text):
        found.too_many_arguments = True
    found.protocols |= missing_protocols(text)
    compare = failure.compare
    pairs: list[tuple[str, str, str]] = []
    if len(compare) >= 3:
        pairs.append((compare[0], compare[1], compare[2]))
    elif kind == "AssertionError":
        pairs.extend(_compares_in(failure.message))
    for operator, left, right in pairs:
        found.compares.append((operator, left, right))
        if operator == "==":
            one, other = _value(left), _value(right)
            if one is not MISSING and other is not MISSING:
                found.values.append((one, other))
                if isinstance(one, str) and isinstance(other, str):
                    found.string_changes.extend(_string_changes(one, other))
                elif type(one) is type(other) and isinstance(one, list | tuple | dict | set):
                    _nested_changes(found, one, other)
    regex = re.search(r"(?:Expected )?[Rr]egex(?: pattern)?[^\n]*:\s*'(.*)'\n\s*(?:Input|Actual message): '(.*)'", text)
    if regex:
        found.string_changes.extend(_string_changes(regex[2], regex[1].replace("\\", "")))


def _compares_in(message: str) -> list[tuple[str, str, str]]:
    first = message.strip().split("\n", 1)[0]
    first = first.split(" : ", 1)[0]
    if first.startswith("assert "):
        first = first[len("assert ") :]
    for operator in (" == ", " != ", " is not ", " is ", " not in ", " in ", " >= ", " <= ", " > ", " < "):
        if first.count(operator) == 1:
            left, right = first.split(operator)
            # unittest's "X != Y" says what assertEqual found unequal.
            return [("==" if operator.strip() == "!=" else operator.strip(), left.strip(), right.strip())]
    match = re.fullmatch(r"(\w+) is not (true|false)", first)
    if match:
        return [("==", match[1], match[2].capitalize())]
    return []


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return MISSING


def _nested_changes(found: Symptoms, one: Any, other: Any) -> None:
    if isinstance(one, dict):
        pairs = [(one[k], other[k]) for k in one if k in other]
    elif isinstance(one, set):
        pairs = []
    else:
        pairs = list(zip(one, other, strict=False))
    for left, right in pairs[:40]:
        if type(left) is type(right) is str and left != right:
            found.string_changes.extend(_string_changes(left, right))
        if left != right and isinstance(left, bool | int | float | str | type(None)):
            found.values.append((left, right))


def _string_changes(actual: str, expected: str) -> list[tuple[str, str, str, str]]:
    if actual == expected or len(actual) > 2000 or len(expected) > 2000:
        return []
    changes = []
    for tag, a, b, c, d in SequenceMatcher(None, actual, expected, autojunk=False).get_opcodes():
        if tag != "equal":
            changes.append((actual[a:b], expected[c:d], actual[max(0, a - 20) : a], actual[b : b + 20]))
    return changes[:6] if len(changes) <= 8 else []


def _constants(source: str) -> list[object]:
    try:
        tree = ast.parse(_dedented(source))
    except (SyntaxError, ValueError):
        return []
    return [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str | int | float)]


def _dedented(source: str) -> str:
    first, *rest = source.split("\n")
    indents = [len(line) - len(line.lstrip()) for line in rest if line.strip()]
    cut = min(indents, default=0)
    # ast.get_source_segment leaves the first line without its indentation.
    return "\n".join([first.lstrip(), *(line[max(0, cut - 4) :] for line in rest)])


def _among(value: object, values: list[object]) -> bool:
    return any(type(value) is type(v) and value == v for v in values)


def _weigh(found: Symptoms) -> None:
    """Raises the boosts of the operators that fit the symptoms. The factors are estimates; a boost is at most 4."""
    boosts = found.boosts

    def raise_(factor: float, *names: str) -> None:
        for name in names:
            boosts[name] = min(4.0, boosts.get(name, 1.0) * factor)

    raised = found.raised
    for one, other in found.values[:12]:
        _weigh_pair(one, other, raise_)
    kinds = " ".join(f"{left} {right}" for _, left, right in found.compares)
    if "None" in kinds:
        raise_(1.5, "return", "guard")
    if raised & {"TypeError", "AttributeError"}:
        raise_(1.6, "guard:none", "wrap", "name", "attribute", "call")
    if found.missing_attributes:
        raise_(1.5, "attribute", "call:method")
        if any(owner == "NoneType" for owner, _ in found.missing_attributes):
            raise_(1.6, "guard", "return")
        if any(owner == "coroutine" for owner, _ in found.missing_attributes):
            raise_(3.0, "await")
    if raised & {"IndexError"}:
        raise_(1.7, "number", "slice", "compare", "range", "guard")
    if raised & {"KeyError"}:
        raise_(2.0, "lookup", "guard:in", "exception")
        raise_(1.4, "string")
    if raised & {"ZeroDivisionError"}:
        raise_(2.5, "guard:zero", "guard:empty", "guard:falsy")
    if raised & {"RecursionError"} or found.hang:
        raise_(1.6, "compare", "number", "call:arguments", "statement", "augment", "name")
    if raised & {"UnboundLocalError"}:
        raise_(2.5, "statement:initialise", "statement:move", "indent")
    if found.unknown_names:
        raise_(3.0, "name", "import", "attribute")
    if found.bad_keywords:
        raise_(3.0, "call:keyword", "signature")
    if found.missing_arguments or found.too_many_arguments:
        raise_(2.5, "call:arguments", "signature", "decorator", "call:drop", "call:add")
    if raised & {"StopIteration", "RuntimeError"}:
        raise_(1.4, "wrap", "exception")
    if found.not_raised:
        raise_(2.5, "guard:raise")
        raise_(1.5, "compare", "condition", "exception")
    elif found.expected_raise:
        raise_(2.0, "exception")
        raise_(1.4, "guard:raise")
    if re.search(r"never awaited|coroutine", " ".join(found.raised) + kinds):
        raise_(3.0, "await")
    if found.string_changes:
        raise_(1.5, "string", "format")
    text = found.issue.lower()
    for pattern, names in _ISSUE_HINTS:
        if re.search(pattern, text):
            raise_(1.5, *names)


_ISSUE_HINTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"off.by.one|one (?:too )?(?:many|few|more|less)|(?:last|first) (?:item|element|page|row|one)"
     r"|boundar|inclusive|exclusive|exactly", ("compare", "number", "slice", "range")),
    (r"empty|no (?:items|elements|rows|entries|results)|blank", ("guard:empty", "guard:falsy", "guard")),
    (r"\bnone\b|\bnull\b|missing|optional|not (?:set|given|provided)", ("guard:none", "guard", "lookup")),
    (r"case.?(?:in)?sensitiv|upper.?case|lower.?case|capital", ("wrap:lower", "string")),
    (r"whitespace|trailing|leading|\bspaces?\b|strip", ("wrap:strip", "string")),
    (r"mutat|shared|leak|modif(?:y|ies|ied)|alias|between (?:calls|instances)|side.?effect",
    ("copy", "default", "definition")),
    (r"\border\b|sort|descending|ascending|reverse", ("sort", "compare")),
    (r"round|decimal|precision|fraction|truncat|float|cents?", ("arithmetic", "round", "wrap")),
    (r"negative|\bsign\b|zero", ("arithmetic", "compare", "guard")),
    (r"swapped|wrong way|reversed|mixed up|backwards", ("call:swap", "order", "arithmetic:swap")),
    (r"duplicat|twice|repeated|double", ("condition", "statement", "augment", "wrap:set")),
    (r"ignor|not (?:used|applied|respected|honou?red)|has no effect|default", ("name", "call", "default")),
    (r"exception|traceback|crash|raise", ("exception", "guard")),
    (r"await|async|coroutine", ("await",)),
    (r"reset|stale|cache|remember|state", ("statement", "order", "copy")),
    (r"hang|infinite|forever|never (?:ends|returns|stops)", ("augment", "statement", "compare")),
    (r"format|display|print|text|message|output", ("string", "format")),
    (r"small|low|min|least|cheap|short|earl|large|high|max|most|big|dear|long|late", ("call:function",)),
    (r"inherit|subclass|base class|super", ("definition:super", "definition")),
)  # fmt: skip


def _weigh_pair(one: Any, other: Any, raise_: Any) -> None:
    if isinstance(one, bool) and isinstance(other, bool):
        raise_(1.3, "compare", "condition", "boolean")
    elif _number(one) and _number(other):
        if abs(one - other) == 1:
            raise_(1.4, "number", "slice", "compare", "range")
        if one == -other and one:
            raise_(1.6, "arithmetic")
        if int(one) == int(other) or isinstance(one, float) != isinstance(other, float):
            raise_(1.5, "arithmetic", "round", "wrap")
        if one and other and (one / other) % 1 in (0.0, 0.5):
            raise_(1.15, "arithmetic", "augment")
    elif (one is None) != (other is None):
        raise_(1.6, "return", "guard", "lookup")
    elif isinstance(one, str) and isinstance(other, str):
        if one.lower() == other.lower():
            raise_(2.0, "wrap:lower", "call:method", "string")
        if one.split() == other.split():
            raise_(2.0, "wrap:strip", "string")
        if sorted(one) == sorted(other):
            raise_(1.4, "order", "call:swap", "slice")
    elif isinstance(one, str) != isinstance(other, str):
        raise_(1.6, "wrap")
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple):
        if len(one) == len(other) and sorted(map(repr, one)) == sorted(map(repr, other)):
            raise_(1.8, "sort", "order")
        elif abs(len(one) - len(other)) == 1:
            raise_(1.4, "slice", "range", "compare", "number", "statement", "indent")
        if len(one) > len({repr(x) for x in one}) and len(other) == len({repr(x) for x in other}):
            raise_(1.5, "condition", "wrap:set")
        if type(one) is not type(other):
            raise_(2.0, "wrap", "return")


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
