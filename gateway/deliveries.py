"""What all deliveries share, however they are signed: headers, record, and the answer that tells what became of it."""

import hashlib
import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

from fastapi import Request, Response
from pydantic import BaseModel

from core.events import DEFAULT_TEAM
from core.intake import Delivery, Intent, Receipt, receive
from core.signatures import SignatureRefused
from core.states import DeliveryState
from gateway.middleware import note
from gateway.problems import Refused, documented
from gateway.state import Gateway

IDENTITY = r"[\x21-\x7e]{1,200}"
"""What a delivery id or an idempotency key may look like."""

_EVENT = r"[A-Za-z0-9_.-]{1,100}"
_EVENT_MEANING = "1 to 100 letters, digits, '_', '.' or '-'"
"""What the name of an event may look like."""


class DeliveryAnswer(BaseModel):
    """What became of a delivery. Of a repeated one, what became of the first."""

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
    """Sets the status (200 for a repeated delivery), counts and notes what became of it."""
    answered = DeliveryAnswer.of(receipt)
    response.status_code = 200 if receipt.duplicate else 202
    gateway.metrics.deliveries.labels(origin, "duplicate" if receipt.duplicate else receipt.state).inc()
    note(request.scope, delivery=receipt.event_id, outcome=answered.status)
    if receipt.task_id is not None:
        note(request.scope, task=str(receipt.task_id))
    return answered


RESPONSES = {
    200: {"model": DeliveryAnswer, "description": "This delivery was here before; nothing was changed."},
    **documented(400, 401, 408, 413, 503),
}


@contextmanager
def verification() -> Iterator[None]:
    """A signature that is refused inside is answered 401, with the reason's code."""
    try:
        yield
    except SignatureRefused as error:
        raise Refused(401, error.code, str(error)) from error


def header(
    headers: Mapping[str, str],
    name: str,
    pattern: str = IDENTITY,
    meaning: str = "1 to 200 visible ASCII",
    instead: str | None = None,
) -> str:
    """A header that must be there, unless there is something that stands for it. Raises `Refused` (400) naming it."""
    value = headers.get(name.lower()) or instead
    if value is None:
        raise Refused(400, "header", f"header {name} is missing", field=name)
    if not re.fullmatch(pattern, value):
        raise Refused(400, "header", f"header {name} must be {meaning}", field=name)
    return value


def refuse_form(headers: Mapping[str, str]) -> None:
    """Forges can send the same as a form, which nothing here reads. Raises `Refused` (400)."""
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        raise Refused(
            400, "malformed", "the body is a form: set the webhook's content type to application/json on its forge"
        )


def store(gateway: Gateway, origin: str, identity: str, kind: str, body: bytes, intent: Intent) -> Receipt:
    """The delivery, what it asks for and its events, in one transaction."""
    delivery = Delivery(origin, identity, kind, hashlib.sha256(body).digest())
    with gateway.database.team(DEFAULT_TEAM) as connection:
        return receive(connection, gateway.log, DEFAULT_TEAM, delivery, intent)


def event_of(headers: Mapping[str, str], name: str) -> str:
    """The name of an event. Raises `Refused` (400)."""
    return header(headers, name, _EVENT, _EVENT_MEANING)


def body_digest(body: bytes) -> str:
    """What stands for the id of a delivery that has none."""
    return f"sha256-{hashlib.sha256(body).hexdigest()}"
