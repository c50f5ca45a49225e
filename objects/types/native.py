"""What the types that come with Penstock share: a method of the type is a Python method of the same name."""

from collections.abc import Mapping
from typing import Any, ClassVar

from objects.model import Message, Refused, Step, TypeSpec
from objects.schemas import Schema


class Native:
    """A trusted type. Subclasses set `spec` and define each of its methods as `name(state, message) -> Step`."""

    spec: ClassVar[TypeSpec]

    def ready(self) -> None:
        return None

    def handle(self, state: Any, message: Message) -> Step:
        step = getattr(self, f"on_{message.method}")(state, message)
        assert isinstance(step, Step)  # noqa: S101
        return step

    def plan(self, state: Any, message: Message) -> Mapping[str, Any] | None:
        found: Mapping[str, Any] | None = getattr(self, f"plan_{message.method}")(state, message)
        return found

    def migrate(self, state: Any, version: int) -> Any:
        return state

    def downgrade(self, state: Any, version: int) -> Any:
        return state


def fields(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """The schema of a JSON object with these fields and no others."""
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }


def text(most: int = 1000, least: int = 0) -> Schema:
    return {"type": "string", "minLength": least, "maxLength": most}


def number(least: float = 0, most: float = 1e12) -> Schema:
    return {"type": "number", "minimum": least, "maximum": most}


def whole(least: int = 0, most: int = 2**53) -> Schema:
    return {"type": "integer", "minimum": least, "maximum": most}


FLAG: Schema = {"type": "boolean"}
NAME: Schema = text(100, 1)


def full(what: str, most: int) -> Refused:
    return Refused("full", f"it holds {most:,} {what} already: use another key, or remove some")
