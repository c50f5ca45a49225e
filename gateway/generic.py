"""What a Standard Webhooks delivery asks of the platform. Pure functions: payload in, intent out.

The body is `{"type": "task.requested", "data": {"source", "title", "body"?, "url"?}}` or
`{"type": "source.changed", "data": {"source", "ref"?}}`; other types are acknowledged and start nothing.
"""

from collections.abc import Mapping
from typing import Any

from core.intake import ChangeIntent, Intent, NoIntent, Target, TaskIntent
from core.payload import BadField, optional_text_at, shown, text_at
from core.tickets.fields import address_at, body_at, title_at
from gateway.payload import naming_fields


def describe(payload: Mapping[str, Any]) -> str:
    """What the delivery tells: its type."""
    return shown(payload.get("type"), 128) or "untyped"


@naming_fields
def normalise(payload: Mapping[str, Any]) -> Intent:
    """Raises `Refused` (400) naming the field that is missing or of a wrong type; nothing else."""
    kind = text_at(payload, "type")
    if kind == "task.requested":
        return TaskIntent(
            target=_source(payload),
            title=title_at(payload, "data.title"),
            body=body_at(payload, "data.body"),
            url=address_at(payload, "data.url"),
        )
    if kind == "source.changed":
        target = _source(payload)
        ref = optional_text_at(payload, "data.ref")
        return ChangeIntent(target=target, data={"ref": ref[:1024]} if ref else {})
    return NoIntent(f"{kind[:128]} starts no work")


def _source(payload: Mapping[str, Any]) -> Target:
    name = text_at(payload, "data.source")
    if not 1 <= len(name) <= 200:
        raise BadField("data.source", "must be 1 to 200 characters long")
    return Target(name=name)
