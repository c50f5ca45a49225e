"""The stack: asks its layers from the last to the first."""

from __future__ import annotations

import re
from typing import Any

from configstack.convert import CONVERTERS
from configstack.errors import ConfigError, MissingKey
from configstack.layers import Layer

_REFERENCE = re.compile(r"\$\{([a-z0-9_.]+)(?::([^}]*))?\}")
_MISSING = object()
MAX_DEPTH = 10


class Stack:
    def __init__(self, *layers: Layer) -> None:
        self._layers = list(layers)

    def push(self, layer: Layer) -> None:
        """Adds a layer that wins over all that are there."""
        self._layers.append(layer)

    def origin(self, key: str) -> str | None:
        """The name of the layer that a key's value comes from."""
        found = self._find(key.lower())
        return None if found is None else found[1]

    def _find(self, key: str) -> tuple[str, str] | None:
        for layer in reversed(self._layers):
            value = layer.get(key)
            if value:
                return value, layer.name
        return None

    def get(self, key: str, kind: str = "str", default: Any = _MISSING) -> Any:
        """A converted value. Raises `MissingKey`, or `ConfigError` naming the origin of a bad value."""
        key = key.lower()
        found = self._find(key)
        if found is None:
            if default is _MISSING:
                raise MissingKey(key, "not set, and there is no default")
            return default
        text, origin = found
        expanded = self._expand(text, key, 0)
        try:
            return CONVERTERS[kind](expanded)
        except ValueError as error:
            raise ConfigError(key, str(error), origin) from error

    def _expand(self, text: str, key: str, depth: int) -> str:
        """Replaces `${other.key}` and `${other.key:fallback}`."""
        if depth > MAX_DEPTH:
            raise ConfigError(key, "references go round in a circle")

        def replace(match: re.Match[str]) -> str:
            name, fallback = match.groups()
            found = self._find(name)
            if found is not None:
                return self._expand(found[0], name, depth + 1)
            if fallback is not None:
                return fallback
            raise ConfigError(key, f"refers to {name}, which is not set")

        return _REFERENCE.sub(replace, text)

    def section(self, name: str) -> dict[str, str]:
        """All settings below a dotted name, the name removed."""
        start = name.lower() + "."
        keys = {key for layer in self._layers for key in layer.keys() if key.startswith(start)}
        return {key[len(start) :]: self.get(key) for key in sorted(keys)}

    def describe(self) -> list[tuple[str, str, str]]:
        """(key, value, origin) of every setting; secrets are masked."""
        keys = sorted({key for layer in self._layers for key in layer.keys()})
        lines = []
        for key in keys:
            value, origin = self.get(key), self.origin(key)
            if key.rpartition(".")[2] in ("password", "token", "secret"):
                value = "********"
            lines.append((key, value, origin or ""))
        return lines
