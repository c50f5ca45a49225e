"""Arithmetic, constants and bounds that are off by one."""

import re
from collections.abc import Iterator

from .base import Proposal, Site, on

_ARITHMETIC = {
    "+": (("-", 0.6), ("*", 0.25)),
    "-": (("+", 0.6),),
    "*": (("/", 0.5), ("+", 0.3), ("**", 0.2)),
    "/": (("*", 0.5), ("%", 0.35)),
    "%": (("/", 0.5),),
    "**": (("*", 0.4),),
    "<<": ((">>", 0.5),),
    ">>": (("<<", 0.5),),
    "&": (("|", 0.5), ("&&", 0.2)),
    "|": (("&", 0.5), ("||", 0.2)),
    "^": (("|", 0.3), ("&", 0.3)),
}
_ASSIGNED = {
    "+=": (("-=", 0.6), ("=", 0.4), ("*=", 0.3)),
    "-=": (("+=", 0.6), ("=", 0.4)),
    "*=": (("/=", 0.5), ("+=", 0.4), ("=", 0.3)),
    "/=": (("*=", 0.5), ("=", 0.2)),
    "=": (("+=", 0.4), ("-=", 0.15)),
    "|=": (("&=", 0.5), ("=", 0.3)),
    "&=": (("|=", 0.5),),
    "||=": (("??=", 0.7),),
    "??=": (("||=", 0.5),),
}
_LENGTHS = ("length", "size")
_NUMBER = re.compile(r"\d{1,15}")


@on("binary_expression", family="numbers")
def arithmetic(site: Site) -> Iterator[Proposal]:
    sign, left, right = site.get("operator"), site.get("left"), site.get("right")
    known = site.text(sign)
    if sign is None or left is None or right is None or known not in _ARITHMETIC:
        return
    for other, weight in _ARITHMETIC[known]:
        if not (site.go and other in ("**", "&&", "||")):
            yield site.swap(sign, other, "arithmetic", weight)
    if known in ("-", "/", "%") and site.text(left) != site.text(right):
        turned = f"{_operand(site.text(right))} {known} {_operand(site.text(left))}"
        yield site.swap(site.node, turned, "operands exchanged", 0.5)
    yield site.swap(site.node, site.text(left), "operand dropped", 0.3)
    if known in ("+", "*"):
        yield site.swap(site.node, site.text(right), "operand dropped", 0.2)
    if known in ("*", "/", "%") and left.type == "binary_expression":
        inner = left.child_by_field_name("right")
        if inner is not None:
            first = site.program.data[left.start_byte : inner.start_byte].decode("utf-8", "ignore")
            yield site.swap(site.node, f"{first}({site.text(inner)} {known} {site.text(right)})", "grouping", 0.3)
    if known in ("+", "-") and right.type == "binary_expression":
        sign_inside, first_inside, last = (right.child_by_field_name(name) for name in ("operator", "left", "right"))
        if site.text(sign_inside) in ("*", "/", "%") and first_inside is not None:
            grouped = f"({site.text(left)} {known} {site.text(first_inside)})"
            yield site.swap(site.node, f"{grouped} {site.text(sign_inside)} {site.text(last)}", "grouping", 0.4)


def _operand(text: str) -> str:
    return f"({text})" if re.search(r"[-+*/%|&?<>=] ", text) and not text.startswith("(") else text


@on("augmented_assignment_expression", "assignment_statement", family="numbers")
def assignment_operator(site: Site) -> Iterator[Proposal]:
    sign = site.get("operator")
    if sign is not None:
        for other, weight in _ASSIGNED.get(site.text(sign), ()):
            if not (site.go and other in ("||=", "??=")):
                yield site.swap(sign, other, "assignment operator", weight)


@on("assignment_expression", family="numbers", language="javascript")
def plain_assignment(site: Site) -> Iterator[Proposal]:
    for child in site.node.children:
        if child.type == "=":
            yield site.swap(child, "+=", "assignment operator", 0.4)
            yield site.swap(child, "-=", "assignment operator", 0.15)


@on("update_expression", "inc_statement", "dec_statement", family="numbers")
def step(site: Site) -> Iterator[Proposal]:
    for child in site.node.children:
        if child.type in ("++", "--"):
            yield site.swap(child, "--" if child.type == "++" else "++", "step", 0.4)


@on("number", "int_literal", "float_literal", family="numbers")
def constant(site: Site) -> Iterator[Proposal]:
    text = site.text(site.node)
    if _NUMBER.fullmatch(text):
        value = int(text)
        weight = 0.6 if value <= 2 else 0.35
        yield site.swap(site.node, str(value + 1), "constant off by one", weight)
        if value > 0 or not _sliced(site):
            yield site.swap(site.node, str(value - 1), "constant off by one", weight)
        if value not in (0, 1):
            yield site.swap(site.node, "0", "constant", 0.15)
            yield site.swap(site.node, f"{value}0", "constant", 0.1)
        if value >= 10 and value % 10 == 0:
            yield site.swap(site.node, str(value // 10), "constant", 0.15)
    for number in site.hints.numbers[:12]:
        if number != text and not (site.go and site.node.type == "int_literal" and "." in number):
            yield site.swap(site.node, number, "constant that the task names", 0.25)


def _sliced(site: Site) -> bool:
    parent = site.place.parent
    return site.go and parent is not None and parent.type in ("index_expression", "slice_expression")


@on("subscript_expression", "index_expression", family="numbers")
def index(site: Site) -> Iterator[Proposal]:
    at = site.get("index")
    if at is None or "string" in at.type or at.type in ("int_literal", "number"):
        return
    boost = 1.6 if site.hints.error in ("index", "null") else 1.0
    text = site.text(at)
    yield site.swap(at, f"{text} - 1", "index off by one", 0.35 * boost)
    yield site.swap(at, f"{text} + 1", "index off by one", 0.35 * boost)


@on("slice_expression", family="numbers", language="go")
def bounds(site: Site) -> Iterator[Proposal]:
    boost = 1.6 if site.hints.error == "index" else 1.0
    for name in ("start", "end"):
        if (at := site.get(name)) is not None and at.type != "int_literal":
            yield site.swap(at, f"{site.text(at)}+1", "bound off by one", 0.4 * boost)
            yield site.swap(at, f"{site.text(at)}-1", "bound off by one", 0.4 * boost)


@on("member_expression", family="numbers", language="javascript")
def length(site: Site) -> Iterator[Proposal]:
    if site.text(site.get("property")) in _LENGTHS and _value(site):
        yield site.swap(site.node, f"{site.text(site.node)} - 1", "length off by one", 0.4)
        yield site.swap(site.node, f"{site.text(site.node)} + 1", "length off by one", 0.25)


@on("call_expression", family="numbers", language="go")
def go_length(site: Site) -> Iterator[Proposal]:
    if site.text(site.get("function")) in ("len", "cap"):
        yield site.swap(site.node, f"{site.text(site.node)}-1", "length off by one", 0.4)
        yield site.swap(site.node, f"{site.text(site.node)}+1", "length off by one", 0.25)


@on("binary_expression", family="numbers")
def compared(site: Site) -> Iterator[Proposal]:
    right = site.get("right")
    if right is not None and site.text(site.get("operator")) in ("<", "<=", ">", ">=") and right.type == "identifier":
        yield site.swap(right, f"{site.text(right)} - 1", "bound off by one", 0.3)
        yield site.swap(right, f"{site.text(right)} + 1", "bound off by one", 0.3)


@on("return_statement", family="numbers")
def returned(site: Site) -> Iterator[Proposal]:
    inner = site.node.named_children[0] if site.node.named_child_count == 1 else None
    if inner is not None and inner.type == "expression_list":
        inner = inner.named_children[0] if inner.named_child_count == 1 else None
    if inner is not None and inner.type in ("identifier", "binary_expression", "member_expression", "call_expression"):
        text = site.text(inner)
        if len(text) < 100 and "\n" not in text:
            yield site.swap(inner, f"{text} + 1", "result off by one", 0.15)
            yield site.swap(inner, f"{text} - 1", "result off by one", 0.15)
            if not site.go and any(sign in text for sign in ("/", "*")):
                yield site.swap(inner, f"Math.floor({text})", "result rounded", 0.25)
                yield site.swap(inner, f"Math.round({text})", "result rounded", 0.2)
                yield site.swap(inner, f"Math.ceil({text})", "result rounded", 0.2)


def _value(site: Site) -> bool:
    """Whether a node is read, not called or assigned."""
    parent = site.place.parent
    if parent is None:
        return False
    return not (
        parent.type
        in ("assignment_expression", "augmented_assignment_expression", "update_expression", "member_expression")
        or parent.child_by_field_name("function") == site.node
    )
