"""Values and exceptions that words state: "returns 4 but should return 3", "expected `[1]`, got `[2]`", "raises
KeyError instead of returning None"."""

import re
from dataclasses import dataclass

from assets.executions.attempt.derived.claims import Kind, Stated
from assets.executions.attempt.derived.safe_code import MOST_LITERAL, is_expression, literal

MOST_WORDS = 2_000
"""Characters of one passage that are read."""
_EXCEPTION = re.compile(
    r"`{0,2}((?:[A-Za-z_]\w{0,60}\.){0,6}(?:[A-Z]\w{0,80}(?:Error|Exception|Warning|Interrupt)|StopIteration|SystemExit))\b"
    r"(?:\([^`]{0,200}\))?`{0,2}"
)
_EMPTY = re.compile(r"(?:an? |the )?empty (list|string|str|dictionary|dict|mapping|tuple|set)\b", re.IGNORECASE)
_EMPTIES = {"list": "[]", "string": "''", "str": "''", "dictionary": "{}", "dict": "{}", "mapping": "{}", "tuple": "()",
            "set": "set()"}  # fmt: skip
_FILLER = re.compile(
    r"(?:\s|:|=(?!=)|\b(?:the|an?|value|result|of|only|just|always|simply|string|text|list|tuple|it)\b)*"
)
_TICKED = re.compile(r"(`{1,3})(?!`)(.{1,1000}?)(?<!`)\1(?!`)", re.DOTALL)
_BARE = re.compile(r"""-?\d[\d_]*(?:\.\d+)?(?:[eE][-+]?\d+)?\b|(?:True|False|None)\b|[rbu]?(?:"[^"\n]*"|'[^'\n]*')""")
_AFTER = re.compile(
    r"\s*(?:$|[,.;:!?)\n]|[\u2014\u2013-]\s|\b(?:and|but|instead|not|rather|as|while|when|since|because|for|on|with|in|was|is)\b)"
)
"""What may follow a number without backticks: "should be 3 times faster" states no value."""

_BE = (
    r"(?:be|been|return(?:ed)?|give|given|yield|equal|print(?:ed)?|produce|output|evaluate to|become|result in|show"
    r"|raise|throw)"
)
_ADVERBS = r"(?:\s+(?:have|also|only|instead|always|just|really|rather|both|still|all|either))*"
_THINGS = r"(?:value|result|output|answer|behaviou?r|it|this|that|is|was|the)"
_ROLES = re.compile(
    rf"(?P<not_>\b(?:should|must)(?:\s+not|n't){_ADVERBS}\s+{_BE}\b)"
    rf"|(?P<want>\b(?:should|must|ought to|shall|has to|needs to|would){_ADVERBS}\s+{_BE}\b"
    rf"|\bexpect(?:ed|s|ing|ation)?\b(?:\s+(?:{_THINGS}|to\s+{_BE}|to get|to see))*"
    r"|\b(?:do|does|did)(?:\s+not|n't)\s+(?:return|give|yield|equal|raise|print)\b"
    r"|\bcorrect(?:ly)?\s+(?:is|would be|value is|result is|answer is)\b)"
    rf"|(?P<once>\bused to{_ADVERBS}\s+{_BE}\b"
    r"|\b(?:previously|formerly|once|before(?: that| this)?|earlier|until (?:version |release )?v?\d[\w.]{0,20}),?\s+"
    r"(?:(?:it|this|that|we|i)\s+)?(?:returned|gave|was|were|got|printed|yielded|produced|raised)\b)"
    r"|(?P<other>(?:\b(?:instead of|rather than|and not|but not)|,\s*not)\b"
    r"(?:\s+(?:return|giv|yield|rais|be|print|throw|produc|gett|equal)\w*)*)"
    r"|(?P<got>\b(?:returns?|returned|gives?|gave|yields?|prints?|printed|outputs?|produces?|evaluates to|results? in"
    r"|raises?|raised|throws?|threw|fails? with|failed with|crash(?:es|ed)? with|dies with|gets?|got|getting|receives?"
    r"|sees?|saw|is|was|are|shows?|comes? back as|becomes?|actual(?:ly)?(?:\s+(?:value|result|output|is|was))*"
    r"|currently(?:\s+is)?|observed)\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Roles:
    """What a passage states of one call."""

    expected: Stated | None = None
    actual: Stated | None = None


def roles_in(text: str) -> Roles:
    """The right and the wrong result that a passage states, the first of each. What it was once is right where nothing
    else is said to be."""
    text = text[:MOST_WORDS]
    found: dict[str, Stated] = {}
    last = ""
    for match in _ROLES.finditer(text):
        role = {"want": "expected", "not_": "actual", "got": "actual", "once": "once"}.get(match.lastgroup or "", "")
        if match.lastgroup == "other":
            role = "actual" if last in ("expected", "once") else "expected"
        value = value_at(text, match.end())
        if value is None:
            continue
        if match.lastgroup in ("got", "other") and text[max(0, match.start() - 4) : match.start()] == "not ":
            continue
        found.setdefault(role, value)
        last = role
    expected, actual = found.get("expected") or found.get("once"), found.get("actual")
    return Roles(expected, None if actual == expected else actual)


def value_at(text: str, at: int = 0) -> Stated | None:
    """The value or exception that the text states from `at` on; None when it states none there."""
    text = text[:MOST_WORDS]
    if match := _EMPTY.match(text, _blank(text, at)):
        return Stated(Kind.VALUE, _EMPTIES[match[1].lower()])
    filler = _FILLER.match(text, at)
    start = filler.end() if filler else at
    if match := _EXCEPTION.match(text, start):
        return Stated(Kind.RAISES, match[1])
    if match := _EMPTY.match(text, start):
        return Stated(Kind.VALUE, _EMPTIES[match[1].lower()])
    if match := _TICKED.match(text, start):
        return of_code(match[2])
    if text[start : start + 1] in ("[", "(", "{"):
        inner = _bracketed(text, start)
        return Stated(Kind.VALUE, inner) if inner and literal(inner) is not None else None
    match = _BARE.match(text, start)
    if match and literal(match[0]) is not None and _AFTER.match(text, match.end()):
        return Stated(Kind.VALUE, match[0])
    return None


def of_code(code: str) -> Stated:
    """What code in backticks or a block states: a literal or an expression, else the text that is shown."""
    code = code.strip()
    if exception := _EXCEPTION.fullmatch(code):
        return Stated(Kind.RAISES, exception[1])
    if literal(code) is not None:
        return Stated(Kind.VALUE, code)
    return Stated(Kind.SHOWN, code, exact=False)


def of_comment(comment: str) -> tuple[Roles, Stated | None]:
    """What a comment beside a call states: the right and the wrong result, or one of which it does not say which."""
    text = comment.strip().lstrip("#").strip()
    arrow = re.match(r"(?:-+>|=+>|→|⇒|>>+|==)\s*", text)
    bare = text[arrow.end() :] if arrow else text
    if literal(bare) is not None:
        return Roles(), Stated(Kind.VALUE, bare)
    if match := _EXCEPTION.fullmatch(bare.removeprefix("raises ").strip()):
        return Roles(), Stated(Kind.RAISES, match[1])
    roles = roles_in(text)
    if roles == Roles() or arrow or roles.expected is None:
        first = value_at(bare)
        if first is not None and roles.expected is not None and roles.expected != first:
            return Roles(roles.expected, roles.actual or first), None
        if arrow and roles == Roles():
            if first is None and bare and is_expression(bare):
                first = Stated(Kind.SHOWN, bare)
            return Roles(), first
    return roles, None


def _blank(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\n:":
        at += 1
    return at


def _bracketed(text: str, start: int) -> str:
    """The text up to the bracket that closes the first one; empty when there is none near."""
    depth, quote = 0, ""
    for at in range(start, min(len(text), start + MOST_LITERAL)):
        char = text[at]
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in "[({":
            depth += 1
        elif char in "])}":
            depth -= 1
            if depth == 0:
                return text[start : at + 1]
    return ""
