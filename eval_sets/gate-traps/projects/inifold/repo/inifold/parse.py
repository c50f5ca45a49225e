"""Reading a text of `[section]`, `key = value` and `# comment` lines."""

from __future__ import annotations

import re

_SECTION = re.compile(r"\[([^\]]+)\]")


class ConfigError(ValueError):
    """A line that cannot be read; `line` counts from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line


def parse(text: str) -> dict[str, dict[str, str]]:
    """The sections of a text. Keys before the first section belong to the section with the empty name.

    A line that starts with a blank continues the value of the key above it.
    """
    sections: dict[str, dict[str, str]] = {}
    current = sections.setdefault("", {})
    key: str | None = None
    for number, raw in enumerate(text.splitlines(), 1):
        line = strip_comment(raw).rstrip()
        if not line:
            continue
        if line[0].isspace():
            if key is None:
                raise ConfigError("nothing to continue", number)
            current[key] += "\n" + line.strip()
            continue
        if match := _SECTION.fullmatch(line):
            current = sections.setdefault(match[1].strip(), {})
            key = None
            continue
        name, equals, value = line.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"expected key = value, got {line!r}", number)
        key = name.strip().lower()
        current[key] = unquoted(value.strip())
    return sections


def strip_comment(line: str) -> str:
    """A line without its comment. A `#` between double quotes does not start one."""
    quoted = False
    for at, character in enumerate(line):
        if character == '"':
            quoted = not quoted
        elif character == "#" and not quoted:
            return line[:at]
    return line


def unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return value[1:-1]
    return value
