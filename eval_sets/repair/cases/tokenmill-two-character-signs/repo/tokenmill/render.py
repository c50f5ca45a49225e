"""Writes a tree as text again, with no more parentheses than are needed."""

from __future__ import annotations

from tokenmill.parser import PRECEDENCE, RIGHT_ASSOCIATIVE, UNARY
from tokenmill.tree import Binary, Call, Name, Node, Number, Text, Unary


def render(node: Node) -> str:
    return _render(node, 0)


def _render(node: Node, around: int) -> str:
    if isinstance(node, Number):
        return f"{node.value:g}"
    if isinstance(node, Text):
        return f'"{node.value}"'
    if isinstance(node, Name):
        return node.name
    if isinstance(node, Call):
        return f"{node.function}({', '.join(_render(argument, 0) for argument in node.arguments)})"
    if isinstance(node, Unary):
        return _wrap(f"-{_render(node.operand, UNARY)}", UNARY < around)
    own = PRECEDENCE[node.operator]
    right_first = node.operator in RIGHT_ASSOCIATIVE
    left = _render(node.left, own + 1 if right_first else own)
    right = _render(node.right, own if right_first else own + 1)
    return _wrap(f"{left} {node.operator} {right}", own < around)


def _wrap(text: str, needed: bool) -> str:
    return f"({text})" if needed else text
