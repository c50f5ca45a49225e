"""A client of durable objects over HTTP, for programs in Python.

    objects = Objects("http://127.0.0.1:8420", token)
    visits = objects.of("register", "visits")
    visits.call("add", amount=1)                       # {"count": 1}

`typed` makes a class of a type's methods from its schemas, as source that type checkers and editors understand:

    python -m objects.client http://127.0.0.1:8420 register > register_client.py
"""

import json
import keyword
import os
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

SECONDS = 30.0
_AGAIN = frozenset({421, 429, 503})
"""Answers after which the same call is sent again, under the same id."""


class ObjectRefused(Exception):
    """The object, or the platform, refuses the call. `code` is short and stable."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code


class ObjectUnavailable(ConnectionError):
    """No answer within the time: the call may or may not have had its effect. The same `id` again is safe."""

    def __init__(self, message: str, id: str) -> None:
        super().__init__(f"{message} (id {id})")
        self.id = id


class Objects:
    """`token` is an API token of Penstock's. Safe for use by several threads."""

    def __init__(self, gateway: str, token: str, *, client: httpx.Client | None = None) -> None:
        self._client = client or httpx.Client(base_url=gateway, timeout=SECONDS + 5, trust_env=False)
        self._headers = {"Authorization": f"Bearer {token}"}

    def of(self, type: str, key: str) -> "Object":
        return Object(self, type, key)

    def call(
        self, type: str, key: str, method: str, argument: Any, *, id: str | None = None, seconds: float = SECONDS
    ) -> Any:  # fmt: skip
        """The answer. A call that is lost is sent again under the same id until `seconds` have passed. Raises
        `ObjectRefused` and `ObjectUnavailable`."""
        name, deadline, pause = id or str(uuid.uuid4()), time.monotonic() + seconds, 0.1
        path = f"/objects/{quote(type, safe='')}/{quote(key, safe='')}/{quote(method, safe='')}"
        problem = "no answer"
        while (left := deadline - time.monotonic()) > 0:
            headers = {**self._headers, "Idempotency-Key": name, "Penstock-Seconds": f"{min(left, 120.0):.3f}"}
            try:
                answer = self._client.post(path, json=argument, headers=headers, timeout=left + 1)
            except httpx.TransportError as error:
                problem = type_name(error)
            else:
                if answer.is_success:
                    return answer.json()
                problem = f"answered {answer.status_code}"
                if answer.status_code not in _AGAIN:
                    raise _refused(answer)
            time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
            pause = min(pause * 2, 2.0)
        raise ObjectUnavailable(problem, name)

    def show(self, type: str, key: str) -> dict[str, Any]:
        """State, last calls, faults and alarms of an object. Wakes nothing. Raises `ObjectRefused`."""
        return dict(self._get(f"/objects/{quote(type, safe='')}/{quote(key, safe='')}"))

    def type(self, name: str) -> dict[str, Any]:
        """A type's methods with their schemas, and its versions. Raises `ObjectRefused`."""
        return dict(self._get(f"/object-types/{quote(name, safe='')}"))

    def _get(self, path: str) -> Any:
        answer = self._client.get(path, headers=self._headers)
        if not answer.is_success:
            raise _refused(answer)
        return answer.json()


@dataclass(frozen=True)
class Object:
    objects: Objects
    type: str
    key: str

    def call(self, method: str, argument: Mapping[str, Any] | None = None, /, **fields: Any) -> Any:
        """Calls a method with an argument, or with its fields by name."""
        return self.objects.call(self.type, self.key, method, {**(argument or {}), **fields})


def type_name(error: Exception) -> str:
    return type(error).__name__


def _refused(answer: httpx.Response) -> ObjectRefused:
    try:
        said = answer.json()
        return ObjectRefused(answer.status_code, str(said["code"]), str(said["error"]))
    except (ValueError, KeyError, TypeError):
        return ObjectRefused(answer.status_code, "http", answer.text[:200])


_PYTHON = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None",
           "array": "list[Any]", "object": "dict[str, Any]"}  # fmt: skip


def typed(described: Mapping[str, Any]) -> str:
    """The source of a module with a class for a type, as `Objects.type` describes it."""
    name = "".join(part.capitalize() for part in str(described["type"]).split("-"))
    lines = [
        f'"""Client of the durable objects of type {described["type"]}; made from its schemas."""',
        "",
        "from typing import Any, cast",
        "",
        "from objects.client import Object, Objects",
        "",
        "",
        f"class {name}:",
        f"    {json.dumps(described['description'] or name, ensure_ascii=False)}",
        "",
        "    def __init__(self, objects: Objects, key: str) -> None:",
        f"        self._object: Object = objects.of({described['type']!r}, key)",
    ]
    for method, one in sorted(described["methods"].items()):
        parts, required = one["argument"].get("properties", {}), one["argument"].get("required", ())
        plain = {part: schema for part, schema in parts.items() if part.isidentifier() and not keyword.iskeyword(part)}
        needed = [f"{part}: {_hint(schema)}" for part, schema in plain.items() if part in required]
        optional = [f"{part}: {_hint(schema)} | None = None" for part, schema in plain.items() if part not in required]
        free = [] if parts or one["argument"].get("additionalProperties") is False else ["argument: Any = None"]
        parameters = ", ".join(["self", *free, *(["*", *needed, *optional] if plain else [])])
        answer = _hint(one["answer"])
        defined = f"{method}_" if keyword.iskeyword(method) else method
        lines += ["", f"    def {defined}({parameters}) -> {answer}:"]
        if one["description"]:
            lines.append(f"        {json.dumps(one['description'], ensure_ascii=False)}")
        given = ", ".join(f"{part!r}: {part}" for part in plain)
        if free:
            lines.append(f"        return cast({answer!r}, self._object.call({method!r}, argument))")
        else:
            lines.append(f"        given = {{{given}}}")
            kept = "{name: value for name, value in given.items() if value is not None}"
            lines.append(f"        return cast({answer!r}, self._object.call({method!r}, {kept}))")
    return "\n".join(lines) + "\n"


def _hint(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        return " | ".join(_PYTHON.get(one, "Any") for one in kind)
    return _PYTHON.get(str(kind), "Any")


def main() -> int:
    if len(sys.argv) != 3 or "PENSTOCK_TOKEN" not in os.environ:
        print("usage: PENSTOCK_TOKEN=... python -m objects.client GATEWAY TYPE", file=sys.stderr)  # noqa: T201
        return 2
    print(typed(Objects(sys.argv[1], os.environ["PENSTOCK_TOKEN"]).type(sys.argv[2])), end="")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
