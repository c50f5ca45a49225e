"""Reading JSON that anyone may have written: strict about shape, bounded, safe to store.

Pure functions. Text that comes out of here holds no NUL and no lone surrogate, which PostgreSQL
cannot store, and is never longer than was asked for.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_ZONE = re.compile(r" ?(?:UTC|GMT)$")
_WEB_ADDRESS = re.compile(r"https?://[A-Za-z0-9._~:/?#\[\]@!$&()*+,;=%-]+")

_JSON_NAMES = {
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
}


class BadField(ValueError):
    """A field is missing or of a wrong type or value: `field` is its dotted path, `problem` says what is wrong."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


def clean(text: str) -> str:
    """`text` with what cannot be stored replaced by U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", text)


def name_of(value: Any) -> str:
    """What JSON calls the value's type."""
    return "null" if value is None else _JSON_NAMES.get(type(value), type(value).__name__)


def value_at(payload: Mapping[str, Any], path: str) -> Any:
    """What stands at a dotted path, or None where it, or what should hold it, is missing or null. Raises `BadField`
    where something on the way is no object."""
    value: Any = payload
    walked: list[str] = []
    for name in path.split("."):
        if not isinstance(value, Mapping):
            raise BadField(".".join(walked), f"must be an object, not {name_of(value)}")
        walked.append(name)
        value = value.get(name)
        if value is None:
            return None
    return value


def text_at(payload: Mapping[str, Any], path: str) -> str:
    """The text at a dotted path. Raises `BadField` naming the field that is missing or no text."""
    found = optional_text_at(payload, path)
    if found is None:
        raise BadField(path, "is missing")
    return found


def optional_text_at(payload: Mapping[str, Any], path: str) -> str | None:
    """The text at a dotted path, or None where there is none. Raises `BadField` for another type."""
    value = value_at(payload, path)
    if value is not None and not isinstance(value, str):
        raise BadField(path, f"must be a string, not {name_of(value)}")
    return None if value is None else clean(value)


def optional_number_at(payload: Mapping[str, Any], path: str, *, least: int = 1, most: int = 2**53) -> int | None:
    """The whole number at a dotted path, or None where there is none. Raises `BadField`."""
    value = value_at(payload, path)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadField(path, f"must be a whole number, not {name_of(value)}")
    if not least <= value <= most:
        raise BadField(path, f"must be a number from {least} to {most}")
    return value


def number_at(payload: Mapping[str, Any], path: str, *, least: int = 1, most: int = 2**53) -> int:
    """As `optional_number_at`, but it must be there."""
    found = optional_number_at(payload, path, least=least, most=most)
    if found is None:
        raise BadField(path, "is missing")
    return found


def flag_at(payload: Mapping[str, Any], path: str) -> bool:
    """The boolean at a dotted path; false where there is none. Raises `BadField`."""
    value = value_at(payload, path)
    if value is not None and not isinstance(value, bool):
        raise BadField(path, f"must be a boolean, not {name_of(value)}")
    return bool(value)


def object_at(payload: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    """The object at a dotted path. Raises `BadField`."""
    value = value_at(payload, path)
    if value is None:
        raise BadField(path, "is missing")
    if not isinstance(value, Mapping):
        raise BadField(path, f"must be an object, not {name_of(value)}")
    return value


def objects_at(payload: Mapping[str, Any], path: str, most: int) -> Iterator[Mapping[str, Any]]:
    """The first `most` objects of the list at a dotted path; none where there is no list. Raises `BadField`."""
    value = value_at(payload, path)
    if value is None:
        return
    if not isinstance(value, list):
        raise BadField(path, f"must be a list, not {name_of(value)}")
    for place, item in enumerate(value[:most]):
        if not isinstance(item, Mapping):
            raise BadField(f"{path}.{place}", f"must be an object, not {name_of(item)}")
        yield item


def time_at(payload: Mapping[str, Any], path: str) -> datetime | None:
    """The moment at a dotted path (ISO 8601, or `2015-05-17 17:06:40 UTC`), or None where there is none. Without a
    zone it is taken as UTC. Raises `BadField`."""
    text = optional_text_at(payload, path)
    if not text:
        return None
    try:
        found = datetime.fromisoformat(_ZONE.sub("+00:00", text.strip()))
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadField(path, "must be a date and time in ISO 8601") from None


def shown(value: Any, limit: int) -> str | None:
    """`value` if it is text, cleaned and cut, for a place where nothing depends on it; else None."""
    return clean(value)[:limit] if isinstance(value, str) else None


def cut_title(title: str, limit: int) -> str:
    """One line of at most `limit` characters; an ellipsis says that it was cut."""
    line = " ".join(title.split()) or "(no title)"
    return line if len(line) <= limit else line[: limit - 1] + "…"


def cut_body(body: str, limit: int) -> str:
    """At most `limit` bytes of UTF-8, and a last line that says so if it was cut."""
    raw = body.encode()
    if len(raw) <= limit:
        return body
    kept = raw[:limit].decode("utf-8", "ignore")
    return f"{kept}\n\n[Cut here: the text has {len(raw)} bytes, of which the first {limit} are kept.]"


def web_address(url: str | None, limit: int = 2000) -> str | None:
    """`url` if a browser may be sent there, else None."""
    return url if url and len(url) <= limit and _WEB_ADDRESS.fullmatch(url) else None
