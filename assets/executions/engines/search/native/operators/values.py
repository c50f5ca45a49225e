"""Literals and returned values."""

import difflib
from collections.abc import Iterator

from .base import Proposal, Site, on

_MOST_STRINGS = 10


@on("true", "false", family="values")
def boolean(site: Site) -> Iterator[Proposal]:
    yield site.swap(site.node, "false" if site.node.type == "true" else "true", "boolean", 0.6)


@on("null", "undefined", family="values", language="javascript")
def nothing(site: Site) -> Iterator[Proposal]:
    yield site.swap(site.node, "undefined" if site.node.type == "null" else "null", "null or undefined", 0.4)
    parent = site.place.parent
    if parent is not None and parent.type == "return_statement":
        for value in ("[]", "''", "0", "false", "{}"):
            yield site.swap(site.node, value, "result", 0.2)


@on("string", "interpreted_string_literal", family="values")
def string(site: Site) -> Iterator[Proposal]:
    """A text that the issue or the failing tests hold, most likely one that is much like it."""
    parent = site.place.parent
    if parent is None or "import" in parent.type or _required(site):
        return
    text = site.text(site.node)
    quote, inner = text[:1], text[1:-1]
    for other in site.hints.strings[:200]:
        if other == inner or quote in other or "\\" in other or "\n" in other or len(other) > 200:
            continue
        near = _likeness(inner, other)
        if near >= 0.5 or len(inner) <= 3:
            yield site.swap(
                site.node, f"{quote}{other}{quote}", "text that the task names", 0.2 + 0.6 * near * (near >= 0.5)
            )
    if inner and len(inner) < 60 and "\\" not in inner:
        for other, weight in ((inner.lower(), 0.3), (inner.upper(), 0.2), (inner.strip(), 0.3), (inner + " ", 0.2),
                              (" " + inner, 0.15), ("", 0.15)):  # fmt: skip
            if other != inner:
                yield site.swap(site.node, f"{quote}{other}{quote}", "text", weight)
    elif not inner:
        yield site.swap(site.node, f"{quote} {quote}", "text", 0.2)


def _likeness(one: str, other: str) -> float:
    """From 0 to 1; 0.2 where it is below one half or not worth measuring."""
    if not one or len(one) >= 200:
        return 0.2
    matcher = difflib.SequenceMatcher(None, one, other, autojunk=False)
    if matcher.real_quick_ratio() < 0.5 or matcher.quick_ratio() < 0.5:
        return 0.2
    return matcher.ratio()


def _required(site: Site) -> bool:
    """Whether a text names a module."""
    above = site.place.above[-2:]
    return (
        len(above) == 2
        and above[0].type == "call_expression"
        and site.text(above[0].child_by_field_name("function")) in ("require", "import")
    )


@on("regex", family="values", language="javascript")
def flags(site: Site) -> Iterator[Proposal]:
    pattern, known = site.text(site.get("pattern")), site.text(site.get("flags"))
    for flag, weight in (("g", 0.55), ("i", 0.4), ("u", 0.1), ("m", 0.15), ("s", 0.1)):
        yield site.swap(site.node, f"/{pattern}/{known.replace(flag, '') if flag in known else known + flag}", "flags",
                        weight if flag not in known else 0.15)  # fmt: skip
    if not pattern.startswith("^"):
        yield site.swap(site.node, f"/^{pattern}/{known}", "pattern anchored", 0.25)
    if not pattern.endswith("$"):
        yield site.swap(site.node, f"/{pattern}$/{known}", "pattern anchored", 0.25)
    for old, new in (("+", "*"), ("*", "+"), ("\\w", "\\S"), ("\\d", "\\d+"), (".", "\\.")):
        at = pattern.find(old)
        if at >= 0 and pattern[at - 1 : at] != "\\":
            yield site.swap(site.node, f"/{pattern[:at]}{new}{pattern[at + len(old) :]}/{known}", "pattern", 0.15)


@on("return_statement", family="values")
def other_result(site: Site) -> Iterator[Proposal]:
    """Another name of the function, or the opposite, is returned."""
    inner = site.node.named_children[0] if site.node.named_child_count == 1 else None
    if inner is not None and inner.type == "expression_list":
        inner = inner.named_children[0] if inner.named_child_count == 1 else None
    if inner is None or inner.end_byte - inner.start_byte > 120:
        return
    if inner.type in ("call_expression", "binary_expression", "unary_expression"):
        text = site.text(inner)
        yield site.swap(inner, text[1:] if text.startswith("!") else f"!({text})", "result negated", 0.25)
    for rank, name in enumerate(list(site.place.function.values)[:6]):
        if inner.type != "identifier" and name != site.text(inner):
            yield site.swap(inner, name, "result", 0.15 * 0.9**rank)


@on("ternary_expression", family="values", language="javascript")
def branches(site: Site) -> Iterator[Proposal]:
    condition, one, other = site.get("condition"), site.get("consequence"), site.get("alternative")
    if condition is None or one is None or other is None:
        return
    yield site.swap(
        site.node, f"{site.text(condition)} ? {site.text(other)} : {site.text(one)}", "branches exchanged", 0.5
    )
    yield site.swap(site.node, site.text(one), "branch", 0.2)
    yield site.swap(site.node, site.text(other), "branch", 0.2)


@on("spread_element", family="values", language="javascript")
def not_spread(site: Site) -> Iterator[Proposal]:
    yield site.swap(site.node, site.text(site.node).removeprefix("..."), "spread dropped", 0.3)


@on("object", family="values", language="javascript")
def spread_order(site: Site) -> Iterator[Proposal]:
    """`{ ...defaults, ...given }`: what comes last wins."""
    parts = site.node.named_children
    if 2 <= len(parts) <= 6 and any(part.type == "spread_element" for part in parts):
        texts = [site.text(part) for part in parts]
        for first in range(len(texts) - 1):
            turned = [*texts[:first], texts[first + 1], texts[first], *texts[first + 2 :]]
            yield site.swap(site.node, f"{{ {', '.join(turned)} }}", "parts exchanged", 0.5)
