"""The part that all deliveries share, however they are signed: required headers, storage and the answer."""

import hashlib
import re
import uuid
from collections.abc import Mapping
from typing import Literal

from fastapi import Request, Response
from pydantic import BaseModel

from core.backlog import ANY_NUMBER, Overloaded
from core.events import DEFAULT_TEAM
from core.intake import Delivery, Intent, Receipt, receive
from core.states import DeliveryState
from core.tracing import span
from gateway.middleware import note
from gateway.problems import Refused, documented, overloaded
from gateway.state import Gateway

IDENTITY = r"[\x21-\x7e]{1,200}"
"""The format of delivery ids and idempotency keys."""

_EVENT = r"[A-Za-z0-9_.:-]{1,100}"
_EVENT_MEANING = "1 to 100 letters, digits, '_', '.', ':' or '-'"
"""The format of event names."""


class DeliveryAnswer(BaseModel):
    """The outcome of a delivery. For a repeated delivery, the outcome of the first; for an issue's event that another
    webhook has delivered before, its task."""

    status: Literal["accepted", "ignored", "duplicate"]
    delivery: str
    task: uuid.UUID | None = None
    reason: str | None = None

    @classmethod
    def of(cls, receipt: Receipt) -> "DeliveryAnswer":
        status: Literal["accepted", "ignored", "duplicate"] = "accepted"
        if receipt.duplicate:
            status = "duplicate"
        elif receipt.state == DeliveryState.IGNORED:
            status = "ignored"
        return cls(status=status, delivery=receipt.event_id, task=receipt.task_id, reason=receipt.reason)


def answer(gateway: Gateway, request: Request, response: Response, receipt: Receipt, origin: str) -> DeliveryAnswer:
    """The answer to a delivery. Sets the status (200 for a repeated delivery) and counts and logs the outcome."""
    answered = DeliveryAnswer.of(receipt)
    response.status_code = 200 if receipt.duplicate else 202
    gateway.metrics.deliveries.labels(origin, "duplicate" if receipt.duplicate else receipt.state).inc()
    note(request.scope, delivery=receipt.event_id, outcome=answered.status)
    if receipt.reason is not None:
        note(request.scope, reason=receipt.reason)
    if receipt.task_id is not None:
        note(request.scope, task=str(receipt.task_id))
    return answered


RESPONSES = {
    200: {
        "model": DeliveryAnswer,
        "description": "This delivery, or another about the same event of an issue, was received before.",
    },
    **documented(400, 401, 408, 413, 429, 503),
}


def header(
    headers: Mapping[str, str],
    name: str,
    pattern: str = IDENTITY,
    meaning: str = "1 to 200 visible ASCII",
    instead: str | None = None,
) -> str:
    """The value of a header, or `instead` if it is missing. Raises `Refused` (400) naming a missing or wrong header."""
    value = headers.get(name.lower()) or instead
    if value is None:
        raise Refused(400, "header", f"header {name} is missing", field=name)
    if not re.fullmatch(pattern, value):
        raise Refused(400, "header", f"header {name} must be {meaning}", field=name)
    return value


def refuse_form(headers: Mapping[str, str]) -> None:
    """Raises `Refused` (400) for a form: forges can send webhooks as forms, which the gateway does not read."""
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        raise Refused(
            400, "malformed", "the body is a form: set the webhook's content type to application/json on the forge"
        )


UNSWEPT = ("slack", "linear")
"""Senders whose services no sweep asks: what they deliver is never refused for a backlog, since it would be lost."""


def store(
    gateway: Gateway,
    origin: str,
    identity: str,
    kind: str,
    body: bytes,
    intent: Intent,
    team_id: uuid.UUID = DEFAULT_TEAM,
) -> Receipt:
    """Stores the delivery, its intent and its events in one transaction of its team."""
    delivery = Delivery(origin, identity, kind, hashlib.sha256(body).digest())
    try:
        with span("intake", {"penstock.origin": origin}) as current, gateway.database.team(team_id) as connection:
            backlog = ANY_NUMBER if origin in UNSWEPT else gateway.settings.backlog
            receipt = receive(connection, gateway.log, team_id, delivery, intent, backlog=backlog)
            current.set("penstock.delivery.state", receipt.state)
            current.set("penstock.task", str(receipt.task_id) if receipt.task_id else None)
            return receipt
    except Overloaded as error:
        raise overloaded(error) from error


def event_of(headers: Mapping[str, str], name: str) -> str:
    """The name of an event, from the header `name`. Raises `Refused` (400)."""
    return header(headers, name, _EVENT, _EVENT_MEANING)


def body_digest(body: bytes) -> str:
    """An id for a delivery that was sent without one."""
    return f"sha256-{hashlib.sha256(body).hexdigest()}"
