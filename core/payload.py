"""Parsing of untrusted JSON with pydantic models that ignore unknown fields.

`parse` names the first wrong field by its path. Parsed text is safe to store: it holds no NUL and no lone surrogate,
which PostgreSQL rejects.
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, ValidationError

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_ZONE = re.compile(r" ?(?:UTC|GMT)$")
_WEB_ADDRESS = re.compile(r"https?://[A-Za-z0-9._~:/?#\[\]@!$&()*+,;=%-]+")
_MOST = 2**53

_JSON_NAMES = {
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
}

_WANTED = {
    "string_type": "a string",
    "int_type": "a whole number",
    "bool_type": "a boolean",
    "list_type": "a list",
    "model_type": "an object",
    "dict_type": "an object",
}
"""The expected type of a field, by the type of pydantic's error."""


class BadField(ValueError):
    """A field is missing or of a wrong type or value: `field` is its dotted path, `problem` says what is wrong."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class Payload(BaseModel):
    """An object that a service sends. Only the fields that Penstock reads are declared; others are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


_Model = TypeVar("_Model", bound=Payload)


def parse(model: type[_Model], value: Any, at: str = "") -> _Model:
    """`value` as `model`. Raises `BadField` naming the first wrong field, with its path prefixed by `at`."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
    path = ".".join([*([at] if at else []), *(str(part) for part in first["loc"])]) or "the body"
    raise BadField(path, _problem(first))


def first_problem(error: ValidationError, whole: str) -> str:
    """The first wrong field and what pydantic says about it, as text. `whole` names the document as a whole."""
    first = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(str(part) for part in first['loc']) or whole}: {first['msg']}"


def _problem(error: Any) -> str:
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "missing" or (kind in _WANTED and value is None):
        return "is missing"
    if kind in _WANTED:
        return f"must be {_WANTED[kind]}, not {name_of(value)}"
    if kind in ("greater_than_equal", "less_than_equal"):
        return f"must be a number {'from' if 'ge' in context else 'up to'} {context.get('ge', context.get('le'))}"
    return str(context["error"]) if kind == "value_error" else str(error["msg"])


def clean(text: str) -> str:
    """`text` with characters that PostgreSQL cannot store replaced by U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", text)


def name_of(value: Any) -> str:
    """The JSON name of the value's type, with an article."""
    return "null" if value is None else _JSON_NAMES.get(type(value), type(value).__name__)


def _cleaned(value: Any) -> Any:
    return clean(value) if isinstance(value, str) else value


def _moment(value: Any) -> Any:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise ValueError(f"must be a string, not {name_of(value)}")
    try:
        found = datetime.fromisoformat(_ZONE.sub("+00:00", value.strip()))
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("must be a date and time in ISO 8601") from None


def _empty(value: Any) -> Any:
    return {} if value is None else value


Text = Annotated[str, BeforeValidator(_cleaned)]
Number = Annotated[int, Strict(), Field(ge=1, le=_MOST)]
Count = Annotated[int, Strict(), Field(ge=0, le=_MOST)]
Flag = Annotated[bool, Strict()]
Moment = Annotated[datetime | None, BeforeValidator(_moment)]
"""ISO 8601, or `2015-05-17 17:06:40 UTC`. A time without a zone is UTC."""

Objects = Annotated[
    list[dict[str, Any]], BeforeValidator(lambda found: [] if found is None else found), Field(default_factory=list)
]
"""A list of objects that are parsed one by one; empty if the field is missing."""

Needed = Annotated[_Model, BeforeValidator(_empty), Field(default_factory=dict, validate_default=True)]
"""A required object. If it is missing, the error names its first required field."""


def shown(value: Any, limit: int) -> str | None:
    """`value` cleaned and cut to `limit` characters if it is text, else None. For display only."""
    return clean(value)[:limit] if isinstance(value, str) else None


def cut_title(title: str, limit: int) -> str:
    """One line of at most `limit` characters, ending in an ellipsis if it was cut."""
    line = " ".join(title.split()) or "(no title)"
    return line if len(line) <= limit else line[: limit - 1] + "…"


def cut_body(body: str, limit: int) -> str:
    """At most `limit` bytes of UTF-8, followed by a line that says so if it was cut."""
    raw = body.encode()
    if len(raw) <= limit:
        return body
    kept = raw[:limit].decode("utf-8", "ignore")
    return f"{kept}\n\n[Cut here: the text has {len(raw)} bytes, of which the first {limit} are kept.]"


def web_address(url: str | None, limit: int = 2000) -> str | None:
    """`url` if it is an http or https address that is safe to link to, else None."""
    return url if url and len(url) <= limit and _WEB_ADDRESS.fullmatch(url) else None
