"""Reading JSON that anyone may have written: bounded, strict about shape, safe to store.

Pure functions. Text that comes out of here holds no NUL and no lone surrogate, which PostgreSQL
cannot store, and is never longer than was asked for.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from gateway.problems import Refused, bad_field

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

WEB_ADDRESS = r"^https?://[A-Za-z0-9._~:/?#\[\]@!$&()*+,;=%-]+$"

_JSON_NAMES = {
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
}


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`. Raises `Refused` (400) saying what is wrong with it."""
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise Refused(400, "malformed", f"the body is not UTF-8 (byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise Refused(
            400, "malformed", f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from error
    except RecursionError as error:
        raise Refused(400, "malformed", "the body is nested too deeply") from error
    except ValueError as error:  # a number of more digits than Python converts
        raise Refused(400, "malformed", "the body holds a number of too many digits") from error
    if not isinstance(value, dict):
        raise Refused(400, "malformed", f"the body must be a JSON object, not {_name(value)}")
    return value


def _no_constant(name: str) -> NoReturn:
    raise json.JSONDecodeError(f"{name} is not JSON", "", 0)


def clean(text: str) -> str:
    """`text` with what cannot be stored replaced by U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", text)


def text_at(payload: Mapping[str, Any], path: str) -> str:
    """The text at a dotted path. Raises `Refused` (400) naming the field that is missing or no text."""
    found = optional_text_at(payload, path)
    if found is None:
        raise bad_field(path, "is missing")
    return found


def optional_text_at(payload: Mapping[str, Any], path: str) -> str | None:
    """The text at a dotted path, or None where it, or what should hold it, is missing or null."""
    value: Any = payload
    walked: list[str] = []
    for name in path.split("."):
        if not isinstance(value, Mapping):
            raise bad_field(".".join(walked), f"must be an object, not {_name(value)}")
        walked.append(name)
        value = value.get(name)
        if value is None:
            return None
    if not isinstance(value, str):
        raise bad_field(path, f"must be a string, not {_name(value)}")
    return clean(value)


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
    return url if url and len(url) <= limit and re.fullmatch(WEB_ADDRESS, url) else None


def _name(value: Any) -> str:
    return "null" if value is None else _JSON_NAMES.get(type(value), type(value).__name__)
