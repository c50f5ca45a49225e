"""Comparisons, logic operators and the conditions of branches and loops."""

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from ..program import bare
from .base import Proposal, Site, on
from .guards import go_tests

if TYPE_CHECKING:
    from tree_sitter import Node

_COMPARISONS = {
    "<": (("<=", 1.0), (">", 0.45), (">=", 0.3)),
    "<=": (("<", 1.0), (">=", 0.45), (">", 0.3)),
    ">": ((">=", 1.0), ("<", 0.45), ("<=", 0.3)),
    ">=": ((">", 1.0), ("<=", 0.45), ("<", 0.3)),
    "==": (("!=", 0.6),),
    "!=": (("==", 0.6),),
    "===": (("!==", 0.6), ("==", 0.5)),
    "!==": (("===", 0.6), ("!=", 0.5)),
}
_STRICT = {"==": "===", "!=": "!=="}
_LOGIC = {"&&": (("||", 0.75),), "||": (("&&", 0.75),)}
_MOST_ADDED = 5
_LOOSE = frozenset({
    "binary_expression", "ternary_expression", "assignment_expression", "arrow_function", "yield_expression",
    "await_expression", "sequence_expression", "as_expression", "satisfies_expression",
    "augmented_assignment_expression",
})  # fmt: skip


def operand(site: Site, node: "Node") -> str:
    """The text of a node as an operand of another operator."""
    text = site.text(node)
    return f"({text})" if node.type in _LOOSE else text


@on("binary_expression", family="conditions")
def comparison(site: Site) -> Iterator[Proposal]:
    sign = site.get("operator")
    known = site.text(sign)
    if sign is None:
        return
    for other, weight in _COMPARISONS.get(known, ()):
        yield site.swap(sign, other, "comparison", weight)
    if not site.go and known in _STRICT:
        yield site.swap(sign, _STRICT[known], "strict equality", 0.7)


@on("binary_expression", family="conditions")
def logic(site: Site) -> Iterator[Proposal]:
    sign, left, right = site.get("operator"), site.get("left"), site.get("right")
    known = site.text(sign)
    if sign is None or left is None or right is None:
        return
    for other, weight in _LOGIC.get(known, ()):
        yield site.swap(sign, other, "logic operator", weight)
    if not site.go and known in ("||", "??"):
        yield site.swap(sign, "??" if known == "||" else "||", "default operator", 0.8)
    if known in ("&&", "||"):
        yield site.swap(site.node, site.text(left), "part dropped", 0.4)
        yield site.swap(site.node, site.text(right), "part dropped", 0.4)
        for side in (left, right):
            yield site.swap(side, negated(site, side), "part negated", 0.4)


@on("unary_expression", family="conditions")
def not_dropped(site: Site) -> Iterator[Proposal]:
    inner = site.get("argument") or site.get("operand")
    if inner is not None and site.text(site.get("operator")) == "!":
        yield site.swap(site.node, site.text(inner), "negation dropped", 0.7)


@on("if_statement", "while_statement", "do_statement", "ternary_expression", "for_clause", "for_statement",
    family="conditions")  # fmt: skip
def negation(site: Site) -> Iterator[Proposal]:
    condition = bare(site.get("condition"))
    if condition is not None and condition.is_named and not condition.type.endswith("clause"):
        yield site.swap(condition, negated(site, condition), "condition negated", 0.5)


@on("if_statement", "while_statement", "ternary_expression", family="conditions")
def extended(site: Site) -> Iterator[Proposal]:
    """Adds a condition that stands elsewhere in the same function, or one on a name of it."""
    condition = bare(site.get("condition"))
    if condition is None or condition.end_byte - condition.start_byte > 120:
        return
    text = site.text(condition)
    others = [one for one in site.place.function.conditions if one not in text and text not in one]
    for other in islice(others, _MOST_ADDED):
        wrapped = f"({other})" if "||" in other or "&&" in other else other
        yield site.swap(condition, f"{_side(text, '||')} && {wrapped}", "condition added", 0.2)
        yield site.swap(condition, f"{_side(text, '&&')} || {wrapped}", "alternative added", 0.2)
    for name in list(site.place.function.parameters)[:4]:
        for test in _tests(site, name):
            if test not in text:
                yield site.swap(condition, f"{_side(text, '&&')} || {test}", "alternative added", 0.18)
                yield site.swap(condition, f"{_side(text, '||')} && {test}", "condition added", 0.15)


def _side(text: str, other: str) -> str:
    return f"({text})" if other in text or "??" in text or "=>" in text or " ? " in text else text


def _tests(site: Site, name: str) -> tuple[str, ...]:
    if site.go:
        return tuple(test for _, test in go_tests(site, name))
    return (f"{name} == null", f"!{name}", f"{name} === 0", f"{name}.length === 0")


def negated(site: Site, node: "Node") -> str:
    """The opposite of a condition, by its operator where it is a comparison."""
    opposite = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "==", "===": "!==", "!==": "==="}
    sign = node.child_by_field_name("operator")
    if node.type == "binary_expression" and sign is not None and site.text(sign) in opposite:
        before = site.program.data[node.start_byte : sign.start_byte].decode("utf-8", "ignore")
        after = site.program.data[sign.end_byte : node.end_byte].decode("utf-8", "ignore")
        return f"{before}{opposite[site.text(sign)]}{after}"
    if node.type == "unary_expression" and site.text(sign) == "!":
        return site.text(node.child_by_field_name("argument") or node.child_by_field_name("operand"))
    return f"!{operand(site, node)}"
