"""Computes the value of a formula."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

from tokenmill.functions import FUNCTIONS
from tokenmill.parser import parse
from tokenmill.tree import Binary, Call, Name, Node, Number, Text, Unary


class EvalError(ValueError):
    """A formula that is well formed but has no value."""


_ARITHMETIC = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "^": operator.pow,
}
_COMPARISON = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def evaluate(formula: str, names: Mapping[str, Any] | None = None) -> Any:
    """The value of a formula; `names` are what its names stand for, in lower case."""
    return _value(parse(formula), names or {})


def _value(node: Node, names: Mapping[str, Any]) -> Any:
    if isinstance(node, (Number, Text)):
        return node.value
    if isinstance(node, Name):
        if node.name not in names:
            raise EvalError(f"unknown name {node.name}")
        return names[node.name]
    if isinstance(node, Unary):
        return -_number(_value(node.operand, names))
    if isinstance(node, Call):
        return _call(node, names)
    return _binary(node, names)


def _binary(node: Binary, names: Mapping[str, Any]) -> Any:
    left, right = _value(node.left, names), _value(node.right, names)
    if node.operator == "&":
        return _text(left) + _text(right)
    if node.operator in _COMPARISON:
        if type(left) is not type(right):
            return node.operator == "<>"
        return _COMPARISON[node.operator](left, right)
    try:
        return _ARITHMETIC[node.operator](_number(left), _number(right))
    except ZeroDivisionError:
        raise EvalError("division by zero") from None


def _call(node: Call, names: Mapping[str, Any]) -> Any:
    if node.function == "if":
        if len(node.arguments) != 3:
            raise EvalError("if needs three arguments")
        condition, then, otherwise = node.arguments
        return _value(then if _value(condition, names) else otherwise, names)
    function = FUNCTIONS.get(node.function)
    if function is None:
        raise EvalError(f"unknown function {node.function}")
    try:
        return function(*(_value(argument, names) for argument in node.arguments))
    except (TypeError, ValueError) as error:
        raise EvalError(f"{node.function}: {error}") from error


def _number(value: Any) -> float:
    if isinstance(value, str):
        raise EvalError(f"not a number: {value!r}")
    return float(value)


def _text(value: Any) -> str:
    """Whole numbers are shown without a dot."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
