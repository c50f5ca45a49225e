"""Patterns such as `/users/{id:int}/posts/{slug}`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

Handler = Callable[..., Any]
_PART = re.compile(r"\{(\w+)(?::(\w+))?\}")
_KINDS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "str": (r"[^/]+", str),
    "int": (r"\d+", int),
    "path": (r".+", str),
}


class NotFound(LookupError):
    """No route has this path."""


class MethodNotAllowed(LookupError):
    """There are routes for this path, with other methods; `allowed` names them."""

    def __init__(self, allowed: list[str]) -> None:
        super().__init__(", ".join(allowed))
        self.allowed = allowed


class Pattern:
    def __init__(self, text: str) -> None:
        self.converters: dict[str, Callable[[str], Any]] = {}
        expression, end = "", 0
        for part in _PART.finditer(text):
            name, kind = part[1], part[2] or "str"
            if kind not in _KINDS:
                raise ValueError(f"unknown kind {kind!r} in {text!r}")
            regex, self.converters[name] = _KINDS[kind]
            expression += re.escape(text[end : part.start()]) + f"(?P<{name}>{regex})"
            end = part.end()
        self._regex = re.compile(expression + re.escape(text[end:]))

    def match(self, path: str) -> dict[str, Any] | None:
        found = self._regex.fullmatch(path)
        if found is None:
            return None
        return {name: convert(found[name]) for name, convert in self.converters.items()}


class Router:
    def __init__(self) -> None:
        self._routes: list[tuple[str, Pattern, Handler]] = []

    def add(self, method: str, pattern: str, handler: Handler) -> None:
        self._routes.append((method.upper(), Pattern(pattern), handler))

    def resolve(self, method: str, path: str) -> tuple[Handler, dict[str, Any]]:
        """The handler of the first route for a method and path, with the values of its parts."""
        allowed: list[str] = []
        for known, pattern, handler in self._routes:
            values = pattern.match(path)
            if values is None:
                continue
            if known == method.upper():
                return handler, values
            allowed.append(known)
        if allowed:
            raise MethodNotAllowed(sorted(set(allowed)))
        raise NotFound(path)
