"""Statements that are missing, too many, or in the wrong order or branch."""

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from .base import Proposal, Site, on

if TYPE_CHECKING:
    from tree_sitter import Node

_LISTS = ("statement_block", "statement_list", "switch_case", "switch_default", "program")


@on(
    "expression_statement", "assignment_statement", "inc_statement", "dec_statement", "if_statement", "for_statement",
    "for_in_statement", "while_statement", "break_statement", "continue_statement", "return_statement",
    "throw_statement", "defer_statement", "go_statement", "send_statement",
    family="statements",
)  # fmt: skip
def deleted(site: Site) -> Iterator[Proposal]:
    """The statement without its line. Deletions please weak tests more often than people, so they come late."""
    parent = site.place.parent
    if parent is None or parent.type not in _LISTS:
        return
    lines = site.node.end_point[0] - site.node.start_point[0]
    weight = 0.14 if lines < 2 else 0.08 if lines < 6 else 0.03
    start, end = _whole_lines(site, site.node)
    yield Proposal(start, end, "", "statement deleted", weight, site.node.start_point[0] + 1)


@on("if_statement", family="statements")
def unconditional(site: Site) -> Iterator[Proposal]:
    """What is done only under a condition is always done; an `else` is not."""
    body, other = site.get("consequence"), site.get("alternative")
    parent = site.place.parent
    if body is None or parent is None or parent.type not in _LISTS:
        return
    inner = body.named_children[0] if site.go and body.named_child_count == 1 else body
    text = site.text(inner).strip()
    if text.startswith("{") and text.endswith("}"):
        text = text[1:-1].strip()
    if text and len(text) < 400:
        yield site.swap(site.node, text, "condition dropped", 0.12)
    if other is not None:
        before = site.program.data[site.node.start_byte : body.end_byte].decode("utf-8", "ignore")
        yield site.swap(site.node, before, "else deleted", 0.12)


@on("expression_statement", "assignment_statement", "short_var_declaration", "inc_statement", "dec_statement",
    "if_statement", family="statements")  # fmt: skip
def moved(site: Site) -> Iterator[Proposal]:
    """Exchanged with the next statement."""
    parent, following = site.place.parent, site.node.next_named_sibling
    if parent is None or parent.type not in _LISTS or following is None or following.type == "comment":
        return
    if following.end_byte - site.node.start_byte > 1_500:
        return
    between = site.program.data[site.node.end_byte : following.start_byte].decode("utf-8", "ignore")
    text = f"{site.text(following)}{between}{site.text(site.node)}"
    yield Proposal(
        site.node.start_byte, following.end_byte, text, "statements exchanged", 0.2, site.node.start_point[0] + 1
    )


@on("expression_statement", "assignment_statement", "inc_statement", "dec_statement", family="statements")
def conditional(site: Site) -> Iterator[Proposal]:
    """Done only under a condition that the function tests elsewhere."""
    text = site.text(site.node)
    if len(text) > 300:
        return
    indent = site.indentation
    for condition in islice(site.place.function.conditions, 4):
        if condition in text:
            continue
        made = f"if {condition} {{\n{indent}\t{text}\n{indent}}}" if site.go else f"if ({condition}) {text}"
        yield site.swap(site.node, made, "condition around", 0.12)


@on("break_statement", "continue_statement", family="statements")
def jump(site: Site) -> Iterator[Proposal]:
    text = site.text(site.node)
    other = text.replace("break", "continue") if "break" in text else text.replace("continue", "break")
    if not any(one.type.startswith(("switch", "expression_case", "default_case")) for one in site.place.above[-3:]):
        yield site.swap(site.node, other, "jump", 0.45)


@on("switch_case", family="statements", language="javascript")
def falls_through(site: Site) -> Iterator[Proposal]:
    body = site.node.children_by_field_name("body")
    if body and body[-1].type not in ("break_statement", "return_statement", "throw_statement", "continue_statement"):
        yield site.insert(
            body[-1].end_byte, f"\n{_line_indent(site, body[-1])}break{site.semicolon}", "break added", 0.6
        )


@on("expression_statement", family="statements", language="javascript")
def returned(site: Site) -> Iterator[Proposal]:
    """A missing `return`: the last statement of a block returns its value, or the function ends after it."""
    parent, inner = site.place.parent, site.node.named_children[0] if site.node.named_child_count else None
    if parent is None or parent.type != "statement_block" or inner is None or site.place.function.node is None:
        return
    last = parent.named_children[-1] == site.node
    if inner.type != "assignment_expression":
        weight = 0.65 if last else 0.2
        yield site.insert(site.node.start_byte, "return ", "return added", weight)
    if last and len(site.place.above) > 1 and site.place.above[-2].type in ("if_statement", "else_clause"):
        text = f"\n{site.indentation}return{site.semicolon}"
        yield site.insert(site.node.end_byte, text, "return added", 0.3)


@on("statement_block", family="statements", language="javascript")
def result_returned(site: Site) -> Iterator[Proposal]:
    """A function that ends without `return` returns a name of it."""
    function = site.place.function
    if function.node is None or function.node.child_by_field_name("body") != site.node or not site.node.named_children:
        return
    last = site.node.named_children[-1]
    if last.type in ("return_statement", "throw_statement"):
        return
    indent = _line_indent(site, last)
    for rank, name in enumerate([*list(function.values)[:4], "this"]):
        text = f"\n{indent}return {name}{site.semicolon}"
        yield Proposal(last.end_byte, last.end_byte, text, "return added", 0.3 * 0.9**rank, last.end_point[0] + 1)


@on("expression_statement", "assignment_statement", family="statements", language="go")
def go_returned(site: Site) -> Iterator[Proposal]:
    """A missing `return` or `continue` at the end of a branch."""
    parent = site.place.parent
    if parent is None or parent.type != "statement_list" or parent.named_children[-1] != site.node:
        return
    if not any(one.type == "if_statement" for one in site.place.above[-3:]):
        return
    function = site.place.function
    indent = site.indentation
    endings = [text for text in function.returns if len(text) < 60][:3] or ["return"]
    for ending in (*endings, "continue", "break"):
        loops = ending in ("continue", "break")
        if loops and not any(one.type == "for_statement" for one in site.place.above):
            continue
        yield site.insert(site.node.end_byte, f"\n{indent}{ending}", "branch ended", 0.25)


def _whole_lines(site: Site, node: "Node") -> tuple[int, int]:
    """The bytes of the lines of a node if nothing else is on them, else its own."""
    data = site.program.data
    start = data.rfind(b"\n", 0, node.start_byte) + 1
    end = data.find(b"\n", node.end_byte)
    end = len(data) if end < 0 else end + 1
    alone = not data[start : node.start_byte].strip() and not data[node.end_byte : end].strip(b"; \t\r\n")
    return (start, end) if alone else (node.start_byte, node.end_byte)


def _line_indent(site: Site, node: "Node") -> str:
    start = site.program.data.rfind(b"\n", 0, node.start_byte) + 1
    line = site.program.data[start : node.end_byte].decode("utf-8", "ignore")
    return line[: len(line) - len(line.lstrip())]
