"""Putting several configurations together."""

from __future__ import annotations

import re
from collections.abc import Mapping

Sections = Mapping[str, Mapping[str, str]]


def merge(*layers: Sections) -> dict[str, dict[str, str]]:
    """One configuration from several: a key of a later layer replaces that of an earlier one."""
    result: dict[str, dict[str, str]] = {}
    for layer in layers:
        for section, values in layer.items():
            result[section] = {**result.get(section, {}), **values}
    return result


def expand(value: str, variables: Mapping[str, str]) -> str:
    """Replaces `${name}`; an unknown name raises `KeyError`, and `$$` stands for a dollar."""

    def found(match: re.Match[str]) -> str:
        return "$" if match[0] == "$$" else variables[match[1]]

    return re.sub(r"\$\$|\$\{(\w+)\}", found, value)
