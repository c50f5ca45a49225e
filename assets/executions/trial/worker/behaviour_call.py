"""A recorded or generated call of a function, by parameter name."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass
class Call:
    """A call to replay: function number, arguments by parameter name, and where it comes from: `target` (a failing
    test), `passing` (a passing test) or `variation`, with `how` in words. `base` is the number of the call varied."""

    function: int
    arguments: dict[str, Any]
    origin: str
    how: str = ""
    base: int = -1
    test: str = ""
    slots: tuple[str, ...] = ()
    """What was varied: parameters, and `parameter.attribute`."""
    unusual: bool = False
    """It has a negative number, and no recorded call has one."""


def bound(function: Callable[..., Any], arguments: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Arguments by parameter name as positional ones and keywords. Raises `KeyError` when one is missing."""
    code = function.__code__
    plain = code.co_varnames[: code.co_argcount]
    only = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    positional = [arguments[name] for name in plain]
    keywords = {name: arguments[name] for name in only}
    at = code.co_argcount + code.co_kwonlyargcount
    if code.co_flags & inspect.CO_VARARGS:
        positional += arguments[code.co_varnames[at]]
        at += 1
    if code.co_flags & inspect.CO_VARKEYWORDS:
        keywords |= arguments[code.co_varnames[at]]
    return positional, keywords
