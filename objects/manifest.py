"""A type's manifest, which comes with its code: methods with the schemas of arguments and answers, and limits.

{"description": "...", "labels": {"purpose": "billing"}, "initial": {"total": 0}, "shards": 0, "stateless": false,
 "methods": {"add": {"description": "...", "argument": {SCHEMA}, "answer": {SCHEMA}},
             "total": {"reading": true, "answer": {SCHEMA}}}}
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from objects.model import MAX_STATE_BYTES, Method, TypeSpec
from objects.schemas import ANYTHING, BadSchema, check_schema

MAX_METHODS = 60
MAX_MANIFEST_BYTES = 128 << 10
NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
METHOD_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,62}")
_FIELDS = {"description", "labels", "initial", "shards", "stateless", "methods"}
_METHOD_FIELDS = {"reading", "argument", "answer", "description", "internal"}


class BadManifest(ValueError):
    """The manifest is not one; the message names the wrong field."""


def read_manifest(value: object, name: str, version: int) -> TypeSpec:
    """Raises `BadManifest`."""
    if not isinstance(value, Mapping):
        raise BadManifest("the manifest must be a JSON object")
    if NAME.fullmatch(name) is None:
        raise BadManifest("a type's name has lower-case letters, digits and '-', at most 63, and begins with a letter")
    if len(json.dumps(value)) > MAX_MANIFEST_BYTES:
        raise BadManifest(f"the manifest has more than {MAX_MANIFEST_BYTES >> 10} KiB")
    _only(value, _FIELDS, "manifest")
    methods = value.get("methods")
    if not isinstance(methods, Mapping) or not 1 <= len(methods) <= MAX_METHODS:
        raise BadManifest(f"methods: must be a JSON object with 1 to {MAX_METHODS} methods")
    initial = value.get("initial")
    if len(json.dumps(initial).encode()) > MAX_STATE_BYTES:
        raise BadManifest("initial: is larger than a state may be")
    shards = value.get("shards", 0)
    if isinstance(shards, bool) or not isinstance(shards, int) or not 0 <= shards <= 1024:
        raise BadManifest("shards: must be a number from 0 to 1024")
    stateless = _flag(value, "stateless", "manifest")
    if stateless and shards:
        raise BadManifest("shards: a stateless type has none")
    return TypeSpec(
        name=name,
        version=version,
        methods={method: _method(method, part) for method, part in methods.items()},
        description=_text(value, "description", "manifest"),
        labels=_labels(value.get("labels", {})),
        stateless=stateless,
        shards=shards,
        initial=initial,
    )


def _method(name: str, value: object) -> Method:
    place = f"methods.{name[:63]}"
    if METHOD_NAME.fullmatch(name) is None:
        raise BadManifest(f"{place}: a method's name has lower-case letters, digits and '_', at most 63")
    if not isinstance(value, Mapping):
        raise BadManifest(f"{place}: must be a JSON object")
    _only(value, _METHOD_FIELDS, place)
    argument, answer = value.get("argument", ANYTHING), value.get("answer", ANYTHING)
    try:
        check_schema(argument, f"{place}.argument")
        check_schema(answer, f"{place}.answer")
    except BadSchema as error:
        raise BadManifest(str(error)) from None
    return Method(
        reading=_flag(value, "reading", place),
        argument=argument,
        answer=answer,
        description=_text(value, "description", place),
        internal=_flag(value, "internal", place),
    )


def _labels(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping) or len(value) > 20:
        raise BadManifest("labels: must be a JSON object with at most 20 labels")
    for name, text in value.items():
        if not isinstance(text, str) or not (_LABEL.fullmatch(name) and _LABEL.fullmatch(text)):
            raise BadManifest(f"labels.{str(name)[:60]}: names and values have letters, digits and ./_-, at most 63")
    return dict(value)


def _only(value: Mapping[str, Any], known: set[str], place: str) -> None:
    if unknown := sorted(str(name) for name in set(value) - known):
        raise BadManifest(f"{place}.{unknown[0][:60]}: is not expected; these are: {', '.join(sorted(known))}")


def _flag(value: Mapping[str, Any], name: str, place: str) -> bool:
    found = value.get(name, False)
    if not isinstance(found, bool):
        raise BadManifest(f"{place}.{name}: must be true or false")
    return found


def _text(value: Mapping[str, Any], name: str, place: str) -> str:
    found = value.get(name, "")
    if not isinstance(found, str) or len(found) > 2000:
        raise BadManifest(f"{place}.{name}: must be a text of at most 2,000 characters")
    return found
