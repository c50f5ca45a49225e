"""Intents of Standard Webhooks deliveries. Pure functions: payload in, intent out.

The body is `{"type": "task.requested", "data": {"source", "title", "body"?, "url"?}}` or
`{"type": "source.changed", "data": {"source", "ref"?}}`. Other types are acknowledged and start nothing.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator

from core.intake import ChangeIntent, Intent, NoIntent, Target, TaskIntent
from core.payload import Needed, Payload, Text, parse, shown
from core.tickets.fields import Address, Body, Title


def _source(name: str) -> str:
    if not 1 <= len(name) <= 200:
        raise ValueError("must be 1 to 200 characters long")
    return name


class _Typed(Payload):
    type: Text


class _Change(Payload):
    source: Annotated[Text, AfterValidator(_source)]
    ref: Text | None = None


class _Task(Payload):
    source: Annotated[Text, AfterValidator(_source)]
    title: Title
    body: Body = ""
    url: Address = None


class _TaskRequested(Payload):
    data: Needed[_Task]


class _SourceChanged(Payload):
    data: Needed[_Change]


def describe(payload: Mapping[str, Any]) -> str:
    """The delivery's type."""
    return shown(payload.get("type"), 128) or "untyped"


def normalise(payload: Mapping[str, Any]) -> Intent:
    """The intent of a delivery. Raises only `BadField`."""
    kind = parse(_Typed, payload).type
    if kind == "task.requested":
        task = parse(_TaskRequested, payload).data
        return TaskIntent(Target(name=task.source), title=task.title, body=task.body or "", url=task.url)
    if kind == "source.changed":
        change = parse(_SourceChanged, payload).data
        return ChangeIntent(Target(name=change.source), {"ref": change.ref[:1024]} if change.ref else {})
    return NoIntent(f"{kind[:128]} starts no work")
