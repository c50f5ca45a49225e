"""Where settings come from. Keys are dotted and lower-case: `server.port`."""

from __future__ import annotations

import configparser
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from configstack.errors import ConfigError


class Layer(Protocol):
    name: str

    def get(self, key: str) -> str | None: ...

    def keys(self) -> Iterator[str]: ...


class MapLayer:
    """Settings from a mapping, nested or with dotted keys."""

    def __init__(self, values: Mapping[str, Any], name: str = "defaults") -> None:
        self.name = name
        self._values = dict(_flatten(values))

    def get(self, key: str) -> str | None:
        value = self._values.get(key)
        return None if value is None else str(value)

    def keys(self) -> Iterator[str]:
        return iter(self._values)


class FileLayer:
    """Settings from an INI file. A file that does not exist has no settings, unless it is required."""

    def __init__(self, path: Path, required: bool = False) -> None:
        self.name = str(path)
        parser = configparser.ConfigParser(interpolation=None)
        if path.exists():
            try:
                parser.read_string(path.read_text(encoding="utf-8"), source=str(path))
            except configparser.Error as error:
                raise ConfigError(path.name, str(error).splitlines()[0], str(path)) from error
        elif required:
            raise ConfigError(path.name, "file not found", str(path))
        self._values = {
            f"{section}.{option}".lower(): value for section in parser.sections() for option, value in parser[section].items()
        }

    def get(self, key: str) -> str | None:
        return self._values.get(key)

    def keys(self) -> Iterator[str]:
        return iter(self._values)


class EnvLayer:
    """`APP_SERVER__PORT` for `server.port`; two underscores stand for the dot."""

    def __init__(self, environment: Mapping[str, str], prefix: str) -> None:
        self.name = "environment"
        start = prefix.upper() + "_"
        self._values = {
            name[len(start) :].lower().replace("__", "."): value
            for name, value in environment.items()
            if name.startswith(start)
        }

    def get(self, key: str) -> str | None:
        return self._values.get(key)

    def keys(self) -> Iterator[str]:
        return iter(self._values)


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        key = f"{prefix}{name}".lower()
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{key}.")
        else:
            yield key, value
