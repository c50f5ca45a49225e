"""The fields of tickets that several services write alike, read from their JSON within bounds."""

import re
from collections.abc import Mapping
from typing import Any

from core.payload import (
    BadField,
    cut_body,
    cut_title,
    objects_at,
    optional_text_at,
    text_at,
    value_at,
    web_address,
)
from core.tickets.record import BODY_BYTES, MOST_ASSIGNEES, MOST_LABELS, NAME_CHARACTERS, TITLE_CHARACTERS

_COMMIT = re.compile(r"[0-9a-f]{40,64}")


def repository_at(payload: Mapping[str, Any], path: str) -> str:
    """A repository's full name, in lower case. Raises `BadField`."""
    name = text_at(payload, path).lower()
    if not re.fullmatch(r"[^/\s]+(?:/[^/\s]+)+", name) or len(name) > 300:
        raise BadField(path, 'must be "owner/name"')
    return name


def title_at(payload: Mapping[str, Any], path: str) -> str:
    return cut_title(text_at(payload, path), TITLE_CHARACTERS)


def body_at(payload: Mapping[str, Any], path: str) -> str:
    """A text that may be long, or missing."""
    return cut_body(optional_text_at(payload, path) or "", BODY_BYTES)


def address_at(payload: Mapping[str, Any], path: str) -> str | None:
    return web_address(optional_text_at(payload, path))


def name_at(payload: Mapping[str, Any], path: str) -> str | None:
    """A person's or a state's name, cut to what is stored."""
    return (optional_text_at(payload, path) or "")[:NAME_CHARACTERS] or None


def identity_at(payload: Mapping[str, Any], path: str) -> str | None:
    """An id that may be a number or a text, as text."""
    value = value_at(payload, path)
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63:
        return str(value)
    return name_at(payload, path)


def names_at(payload: Mapping[str, Any], path: str, field: str, most: int) -> tuple[str, ...]:
    """`field` of each object of a list, in its order; of a list of texts, those."""
    value = value_at(payload, path)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        found = [name_at({"name": item}, "name") for item in value[:most]]
    else:
        found = [name_at(item, field) for item in objects_at(payload, path, most)]
    return tuple(dict.fromkeys(name for name in found if name))


def labels_at(payload: Mapping[str, Any], path: str, field: str = "name") -> tuple[str, ...]:
    return names_at(payload, path, field, MOST_LABELS)


def assignees_at(payload: Mapping[str, Any], path: str, field: str = "login") -> tuple[str, ...]:
    return names_at(payload, path, field, MOST_ASSIGNEES)


def commit_at(payload: Mapping[str, Any], path: str) -> str | None:
    """A commit's full id, or None where there is none."""
    found = optional_text_at(payload, path)
    return found if found and _COMMIT.fullmatch(found) else None
