"""Breaks a question into sub-questions by its structure: its parts, the things it compares, what it asks for."""

import re

from assets.research.records import Kind, SubQuestion
from assets.research.text.words import COMMON, WEAK, term_of

MOST = 8
LONGEST = 2_000
"""Characters of a question that are looked at; the rest is background."""

_NEXT = re.compile(
    r"\?\s*|\n+\s*(?:[-*•]|\d{1,2}[.)])\s*|;\s+|,?\s+\band\s+(?=(?:what|who|whose|when|where|why|how|which|does|did|"
    r"is|are|was|were|can)\b)|"
    r"(?<=[a-z0-9])[.]\s+(?=(?:what|who|when|where|why|how|which|does|did|is|are)\b)",
    re.IGNORECASE,
)
_ASKS = re.compile(
    r"\b(?:what|who|whose|when|where|why|how|which|does|did|is|are|was|were|can|list|name|compare|describe|explain)\b",
    re.I,
)
_BETWEEN = re.compile(
    r"\b(?P<rest>.*?)\b(?:differences?|differ|compar\w+|trade-?offs?|similarit\w+|choose|"
    r"choice)\b(?P<mid>.*?)\bbetween\s+(?P<a>.+?)\s+and\s+(?P<b>.+?)(?P<more>\s+(?:in|for|with|on|regarding|when|by|"
    r"at)\b.*)?$",
    re.I,
)
_COMPARE = re.compile(
    r"\bcompare[sd]?\s+(?P<a>.+?)\s+(?:and|with|to|against)\s+(?P<b>.+?)(?P<more>\s+(?:in|for|with|on|regarding|by|"
    r"in terms of)\b.*)?$",
    re.I,
)
_DIFFER = re.compile(
    r"\bhow\s+(?:do|does|did)\s+(?P<a>.+?)\s+(?:and\s+(?P<b>.+?)\s+(?:differ|compare)|(?:differ from|compare (?:to|"
    r"with))\s+(?P<b2>.+?))(?P<more>\s+(?:in|for|on|regarding|by)\b.*)?$",
    re.I,
)
_VERSUS = re.compile(r"^(?P<a>.+?)\s+(?:vs\.?|versus)\s+(?P<b>.+?)(?P<more>\s*(?::|,|\bin\b|\bfor\b|\bon\b).*)?$", re.I)
_OR = re.compile(
    r"\b(?P<rest>(?:which|who|what|is|are|does|do)\b.*?)(?:[,:]\s*|\s+(?=the\s|[A-Z]))(?P<a>(?:the\s+)?[\w][\w "
    r".'-]{0,60}?)\s+or\s+(?P<b>(?:the\s+)?[\w][\w .'-]{0,60}?)$",
    re.I,
)
_CHANGE = re.compile(
    r"\b(?:how (?:has|have|did|does|do)\b.*\b(?:change|evolve|develop|grow|shrink|progress|vary|rise|fall|increase|"
    r"decrease|move|shift)\w*|"
    r"over (?:time|the years)|history of|evolution of|what (?:has )?changed|changed? (?:since|between|from|over)|"
    r"trend)\b",
    re.IGNORECASE,
)
_CAUSE = re.compile(
    r"^\W*why\b|\b(?:what (?:caused|causes|led to|was the (?:cause|reason))|reasons? (?:for|why|that|behind)|cause "
    r"of|how come)\b",
    re.I,
)
_DEFINITION = re.compile(
    r"^\W*(?:(?:what (?:is|are|was)|who (?:is|was)|define)\s+(?:an?\s+|the\s+)?(?P<x>[\w .'-]+?)|"
    r"what do(?:es)?\s+(?:an?\s+|the\s+)?(?P<y>[\w .'-]+?)\s+(?:mean|stand for))\W*$",
    re.I,
)
_OVERVIEW = re.compile(
    r"\b(?:overview|summar\w+|what (?:is|do we|do you) (?:known?|know)|everything|tell (?:me|us)|describe|which "
    r"(?:\w+\s+){1,3}(?:mention|are affected|were|have|use|describe|discuss)|"
    r"what are the|list (?:the|all)|pros and cons|advantages|risks of|report on)\b",
    re.IGNORECASE,
)
_AMOUNT = re.compile(
    r"\bhow (?:many|much|long|far|fast|tall|old|big|large|heavy|high|deep|wide|often|expensive|hot|cold|frequently|"
    r"strong|quickly|soon)\b|"
    r"\b(?:what|which)\b(?!\s+(?:happen|do|did|cause|make|if)\w*\b)[^?]{0,40}?\b(?:percentage|number of|amount|"
    r"price|cost|rate|speed|weight|length|height|depth|"
    r"capacity|size|duration|limit|period|"
    r"distance|temperature|population|budget|salary|age|area|width|range|throughput|latency|timeout|interval|output|"
    r"payload|share|fee|total|score|"
    r"mass|volume|voltage|power|pressure|port|version)\b",
    re.IGNORECASE,
)
_DATE = re.compile(
    r"^\W*(?:and\s+|at what |by |until |since )*when\b|\b(?:since when|until when|(?:what|which) (?:year|date|day|"
    r"month|time)|in what year|how recently)\b",
    re.I,
)
_NAME = re.compile(
    r"\b(?:who|whose|whom|(?:what|which) (?:persons?|company|companies|organi[sz]ations?|city|cities|towns?|country|"
    r"countries|authors?|teams?|firms?|"
    r"people)|what (?:is|was|are) the names?)\b|^\W*where\b",
    re.I,
)


def decompose(question: str) -> list[SubQuestion]:
    """At most `MOST` sub-questions, in the question's order; at least one, of its whole text."""
    text = " ".join(question[:LONGEST].split("\0")).strip()
    parts = [part.strip(" \t\n-*•,;.") for part in _NEXT.split(text)]
    parts = [part for part in parts if len(part) > 2 and _content(part)]
    asking = [part for part in parts if _ASKS.search(part)]
    if asking and len(asking) < len(parts):  # statements around a question are its background
        parts = asking
    found: list[SubQuestion] = []
    subject = ""
    for part in parts or [text]:
        full = f"{part} ({subject})" if subject and _refers(part) else part
        subject = subject or " ".join(_names(part))
        for kind, side, words in _sides(full):
            if len(found) < MOST:
                found.append(
                    SubQuestion(
                        number=len(found), text=words[:600], kind=kind, side=side, expects=_expects(words, kind)
                    )
                )
    return found


def _content(part: str) -> list[str]:
    return [w for w in re.findall(r"\w+", part) if w.lower() not in COMMON and term_of(w) not in WEAK]


def _names(part: str) -> list[str]:
    return re.findall(r"(?<=\s)[A-Z][\w-]*(?:\s+[A-Z][\w-]*)*", part)[:3]


def _refers(part: str) -> bool:
    return bool(
        re.search(r"\b(?:it|its|they|their|them|he|she|his|her|this|that|these|those)\b", part, re.I)
    ) and not _names(part)


def _sides(part: str) -> list[tuple[Kind, str, str]]:
    for pattern in (_BETWEEN, _COMPARE, _DIFFER, _VERSUS, _OR):
        match = pattern.search(part)
        if match is None:
            continue
        group = match.groupdict()
        a, b = (
            _bare(group[key] or group.get(f"{key}2") or "") if key == "b" else _bare(group[key] or "")
            for key in ("a", "b")
        )
        if not a or not b or len(a) > 120 or len(b) > 120 or a.lower() == b.lower():
            continue
        if pattern is _OR and not re.search(r"\b(?:which|who|more|less|better|\w+er|most)\b", group["rest"], re.I):
            continue
        if " of " in a and " of " not in b:
            b = f"{a.partition(' of ')[0]} of {b}"  # "the header of version 2 and version 3"
        rest = " ".join(filter(None, (group.get("rest"), group.get("mid"), group.get("more"))))
        about = " ".join(w for w in re.findall(r"[\w'-]+", rest) if w.lower() not in COMMON and term_of(w) not in WEAK)
        head = b.split()
        if (
            len(head) > 1
            and len(a.split()) == 1
            and a[0].islower() == head[-1][0].islower()
            and a.lower() not in COMMON
            and head[0][0].isupper() == a[0].isupper()
            and head[-1].islower()
        ):
            a = f"{a} {head[-1]}"  # "the north and south pumps"
        return [(Kind.COMPARISON, side, f"{side} {about}".strip()) for side in (a, b)]
    return [(_kind(part), "", part)]


def _bare(side: str) -> str:
    return re.sub(r"^(?:the|a|an|using|between)\s+", "", side.strip(" ,.:?"), flags=re.I).strip()


def _kind(part: str) -> Kind:
    if _CHANGE.search(part):
        return Kind.CHANGE
    if _CAUSE.search(part):
        return Kind.CAUSE
    if (
        not _AMOUNT.search(part)
        and (match := _DEFINITION.match(part))
        and len((x := match.group("x") or match.group("y")).split()) <= 4
        and " of " not in x
    ):
        return Kind.DEFINITION
    if _OVERVIEW.search(part) or len(_content(part)) <= 1:
        return Kind.OVERVIEW
    return Kind.FACT


def _expects(part: str, kind: Kind) -> str:
    if kind in (Kind.CHANGE, Kind.CAUSE, Kind.DEFINITION, Kind.COMPARISON):
        return ""
    if _AMOUNT.search(part):
        return "number"
    if _DATE.search(part):
        return "date"
    return "name" if _NAME.search(part) else ""
