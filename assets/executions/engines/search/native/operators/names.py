"""A wrong variable, function or member: another name of the same kind that is known there."""

import difflib
from collections.abc import Iterator

from ..program import is_declared
from .base import Proposal, Site, on

_MOST = 8
_SIBLINGS = (
    ("push", "unshift"), ("pop", "shift"), ("indexOf", "lastIndexOf"), ("toUpperCase", "toLowerCase"),
    ("startsWith", "endsWith", "includes"), ("slice", "splice", "substring"), ("some", "every"),
    ("filter", "find", "map"), ("map", "flatMap", "forEach"), ("trim", "trimStart", "trimEnd"),
    ("keys", "values", "entries"), ("floor", "ceil", "round", "trunc"), ("min", "max"), ("padStart", "padEnd"),
    ("replace", "replaceAll"), ("test", "match"), ("all", "allSettled", "race"), ("has", "get"), ("add", "delete"),
    ("getDate", "getDay", "getUTCDate"), ("getHours", "getUTCHours"), ("getMonth", "getUTCMonth"),
    ("getFullYear", "getUTCFullYear"), ("getMinutes", "getUTCMinutes"), ("find", "findLast"), ("reduce", "reduceRight"),
    ("isNaN", "isFinite", "isInteger"), ("parseInt", "parseFloat"), ("call", "apply"), ("then", "catch", "finally"),
    ("HasPrefix", "HasSuffix", "Contains"), ("ToUpper", "ToLower", "ToTitle"), ("Index", "LastIndex"),
    ("TrimLeft", "TrimRight", "Trim", "TrimSpace"), ("TrimPrefix", "TrimSuffix", "TrimLeft"), ("Before", "After"),
    ("Min", "Max"), ("Floor", "Ceil", "Round", "Trunc"), ("Lock", "RLock", "Unlock"), ("RUnlock", "Unlock"),
    ("Split", "SplitN", "Fields"), ("Replace", "ReplaceAll"), ("Add", "Sub"), ("IsUpper", "IsLower", "IsLetter"),
    ("IsDigit", "IsLetter", "IsNumber"), ("Ints", "Strings"), ("Atoi", "ParseInt"), ("Is", "As"),
    ("PushBack", "PushFront"), ("Front", "Back"), ("Next", "Prev"), ("Seconds", "Minutes", "Milliseconds"),
    ("QueryEscape", "PathEscape"), ("Cut", "CutPrefix"), ("Errorf", "Sprintf"), ("Any", "All"),
)  # fmt: skip


@on("identifier", family="names")
def variable(site: Site) -> Iterator[Proposal]:
    name, node, parent = site.text(site.node), site.node, site.place.parent
    if parent is None or is_declared(site.program.syntax, node, site.place.above) or name in site.program.imported:
        return
    if name in ("require", "module", "exports", "undefined", "_", "console") or _labels(site):
        return
    called = parent.type in site.program.syntax.calls and parent.start_byte == node.start_byte
    for rank, other in enumerate(_known(site, name, called)):
        near = difflib.SequenceMatcher(None, name.lower(), other.lower()).ratio()
        weight = (0.3 if called else 0.38) * (0.7 + 0.6 * near) * 0.93**rank
        yield site.swap(node, other, "function" if called else "variable", weight)


def _labels(site: Site) -> bool:
    parent = site.place.parent
    return parent is not None and (
        "specifier" in parent.type
        or parent.type
        in ("labeled_statement", "break_statement", "continue_statement", "keyed_element", "class_heritage")
    )


def _known(site: Site, name: str, called: bool) -> list[str]:
    """Names of the same kind that are declared before, those of the innermost function first."""
    found: dict[str, None] = {}
    for function in site.place.function.chain:
        declared = function.callables if called else function.values
        last = site.node.start_byte if function.node is not None else len(site.program.data)
        for other, at in reversed(declared.items()):
            if other != name and at < last and _fits(site, name, other):
                found.setdefault(other)
    return list(found)[:_MOST]


def _fits(site: Site, name: str, other: str) -> bool:
    """Whether two names may have the same type: they do unless both types are written down and differ."""
    one, another = (site.program.type_of(each, site.place.function) for each in (name, other))
    return not one or not another or one == another


@on("property_identifier", "field_identifier", family="names")
def member(site: Site) -> Iterator[Proposal]:
    parent = site.place.parent
    if parent is None or parent.type not in site.program.syntax.members:
        return
    if parent.child_by_field_name(site.program.syntax.members[parent.type][1]) != site.node:
        return
    name = site.text(site.node)
    for group in _SIBLINGS:
        if name in group:
            for other in group:
                if other != name:
                    yield site.swap(site.node, other, "sibling method", 0.6)
    for rank, other in enumerate(site.program.like(name)):
        named = 1.5 if other in site.hints.names else 1.0
        yield site.swap(site.node, other, "member", 0.3 * 0.9**rank * named)
    for other in site.program.close(name, site.hints.names):
        yield site.swap(site.node, other, "member that the task names", 0.4)


@on("identifier", family="names", language="javascript")
def known_global(site: Site) -> Iterator[Proposal]:
    name = site.text(site.node)
    for group in (("parseInt", "parseFloat", "Number"), ("isNaN", "isFinite")):
        if name in group:
            for other in group:
                if other != name:
                    yield site.swap(site.node, other, "sibling function", 0.5)
