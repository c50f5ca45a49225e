"""The part of JSON Schema (2020-12) that types of objects describe arguments and answers with: checked when code is
submitted, and at each call.

Without `pattern`, `$ref` and combinations, so that a check costs little and a schema from outside cannot make it slow.
https://json-schema.org/draft/2020-12/json-schema-validation
"""

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]

ANYTHING: Schema = {}
MAX_DEPTH = 12
MAX_NODES = 400
_TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")
_NUMBERS = ("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems")
_WORDS = frozenset(
    {"type", "properties", "required", "additionalProperties", "items", "enum", "const", "title", "description",
     "default", "examples", *_NUMBERS}
)  # fmt: skip


class BadSchema(ValueError):
    """The schema uses something that is not supported; the message says what and where."""


class DoesNotFit(ValueError):
    """A value does not fit a schema; `place` names where in the value, as in `argument.amount`."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(f"{place}: {problem}")
        self.place = place
        self.problem = problem


def check_schema(schema: object, place: str = "schema") -> None:
    """Raises `BadSchema`."""
    left = [MAX_NODES]
    _check_schema(schema, place, 0, left)


def _check_schema(schema: object, place: str, depth: int, left: list[int]) -> None:
    left[0] -= 1
    if depth > MAX_DEPTH or left[0] < 0:
        raise BadSchema(f"{place}: a schema has at most {MAX_NODES} parts, {MAX_DEPTH} levels deep")
    if not isinstance(schema, Mapping):
        raise BadSchema(f"{place}: must be a JSON object")
    if unknown := sorted(set(schema) - _WORDS):
        raise BadSchema(f"{place}: {unknown[0][:40]!r} is not supported; these are: {', '.join(sorted(_WORDS))}")
    for kind in _kinds(schema):
        if kind not in _TYPES:
            raise BadSchema(f"{place}.type: {str(kind)[:40]!r} is none of {', '.join(_TYPES)}")
    for word in _NUMBERS:
        if word in schema and (isinstance(schema[word], bool) or not isinstance(schema[word], int | float)):
            raise BadSchema(f"{place}.{word}: must be a number")
    required = schema.get("required", [])
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        raise BadSchema(f"{place}.required: must be a list of names")
    if "enum" in schema and not isinstance(schema["enum"], list):
        raise BadSchema(f"{place}.enum: must be a list")
    parts = schema.get("properties", {})
    if not isinstance(parts, Mapping):
        raise BadSchema(f"{place}.properties: must be a JSON object")
    for name, part in parts.items():
        _check_schema(part, f"{place}.{str(name)[:60]}", depth + 1, left)
    if "items" in schema:
        _check_schema(schema["items"], f"{place}.items", depth + 1, left)
    more = schema.get("additionalProperties", True)
    if not isinstance(more, bool):
        _check_schema(more, f"{place}.additionalProperties", depth + 1, left)


def _kinds(schema: Schema) -> tuple[Any, ...]:
    kind = schema.get("type", ())
    return tuple(kind) if isinstance(kind, list | tuple) else (kind,)


def check(value: object, schema: Schema, place: str = "argument") -> None:
    """Raises `DoesNotFit` at the first place where a value does not fit a checked schema."""
    if (kinds := _kinds(schema)) and not any(_is(value, kind) for kind in kinds):
        raise DoesNotFit(place, f"must be {' or '.join(kinds)}, not {_named(value)}")
    if "enum" in schema and not any(_same(value, one) for one in schema["enum"]):
        raise DoesNotFit(place, f"must be one of {', '.join(repr(one)[:40] for one in schema['enum'][:10])}")
    if "const" in schema and not _same(value, schema["const"]):
        raise DoesNotFit(place, f"must be {schema['const']!r}"[:100])
    if isinstance(value, str):
        _sized(len(value), schema, place, "minLength", "maxLength", "characters")
    elif isinstance(value, list):
        _sized(len(value), schema, place, "minItems", "maxItems", "items")
        if "items" in schema:
            for number, item in enumerate(value):
                check(item, schema["items"], f"{place}[{number}]")
    elif isinstance(value, dict):
        _check_object(value, schema, place)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if "minimum" in schema and value < schema["minimum"]:
            raise DoesNotFit(place, f"must be at least {schema['minimum']}")
        if "maximum" in schema and value > schema["maximum"]:
            raise DoesNotFit(place, f"must be at most {schema['maximum']}")


def _check_object(value: dict[str, Any], schema: Schema, place: str) -> None:
    for name in schema.get("required", ()):
        if name not in value:
            raise DoesNotFit(f"{place}.{name}", "is required")
    parts = schema.get("properties", {})
    more = schema.get("additionalProperties", True)
    for name, item in value.items():
        if name in parts:
            check(item, parts[name], f"{place}.{name}")
        elif more is False:
            raise DoesNotFit(f"{place}.{name[:60]}", "is not expected")
        elif more is not True:
            check(item, more, f"{place}.{name[:60]}")


def _sized(size: int, schema: Schema, place: str, least: str, most: str, what: str) -> None:
    if size < schema.get(least, 0):
        raise DoesNotFit(place, f"must have at least {schema[least]} {what}")
    if most in schema and size > schema[most]:
        raise DoesNotFit(place, f"must have at most {schema[most]} {what}")


def _is(value: object, kind: str) -> bool:
    if kind == "object":
        return isinstance(value, dict)
    if kind == "array":
        return isinstance(value, list)
    if kind == "string":
        return isinstance(value, str)
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "null":
        return value is None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return kind == "number" or isinstance(value, int) or value.is_integer()


def _same(one: object, other: object) -> bool:
    """Equal as JSON: 1 is no true."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _named(value: object) -> str:
    return next((kind for kind in ("null", "boolean", "integer", "number", "string", "array", "object")
                 if _is(value, kind)), "something else")  # fmt: skip


def examples(schema: Schema) -> list[Any]:
    """A few values that fit a schema, the least and the largest among them: what a conformance suite calls with."""
    if "enum" in schema:
        return list(schema["enum"])[:4]
    if "const" in schema:
        return [schema["const"]]
    made = [value for kind in (_kinds(schema) or ("object",)) for value in _of_kind(kind, schema)]
    return [*schema.get("examples", ()), *made]


def _of_kind(kind: str, schema: Schema) -> list[Any]:
    if kind == "string":
        least, most = int(schema.get("minLength", 0)), int(schema.get("maxLength", 200))
        texts = ("", "a", "Zoë \N{CYCLONE} <b>'\"\\", "x" * 200)
        return list(dict.fromkeys(text.ljust(least, "a")[:most] for text in texts))
    if kind in ("integer", "number"):
        least, most = schema.get("minimum", -3), schema.get("maximum", max(schema.get("minimum", 0), 0) + 1000)
        values = [least, most, min(max(1, least), most)]
        return list(dict.fromkeys(int(value) if kind == "integer" else value for value in values))
    if kind == "boolean":
        return [True, False]
    if kind == "null":
        return [None]
    if kind == "array":
        items = examples(schema.get("items", {"type": "string"}))
        least, most = int(schema.get("minItems", 0)), int(schema.get("maxItems", 5))
        return [(items * 5)[:size] for size in dict.fromkeys((least, min(most, max(least, 3))))]
    parts: Mapping[str, Schema] = schema.get("properties", {})
    required = schema.get("required", ())
    fields = {name: examples(part) for name, part in parts.items()}
    longest = max((len(found) for found in fields.values()), default=1)
    whole = [{name: found[turn % len(found)] for name, found in fields.items()} for turn in range(min(longest, 4))]
    return [{name: fields[name][0] if name in fields else "a" for name in required}, *whole]
