"""The webhook routes: verify the signature over the raw body, normalise, store, and only then answer 202."""

import hashlib
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel

from core.events import DEFAULT_TEAM
from core.intake import Delivery, Intent, Receipt, receive
from core.signatures import SignatureRefused, verify_github, verify_standard
from core.states import DeliveryState
from gateway import generic, github
from gateway.middleware import note
from gateway.payload import parse_object
from gateway.problems import Refused, documented
from gateway.state import Gateway, TheGateway

router = APIRouter(tags=["webhooks"])

IDENTITY = r"[\x21-\x7e]{1,200}"
"""What a delivery id or an idempotency key may look like."""

EVENT = r"[A-Za-z0-9_.-]{1,100}"
EVENT_MEANING = "1 to 100 letters, digits, '_', '.' or '-'"
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


def documentation(*headers: str) -> dict[str, object]:
    return {
        "parameters": [
            {"name": name, "in": "header", "required": True, "schema": {"type": "string"}} for name in headers
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
    }


RESPONSES = {
    200: {"model": DeliveryAnswer, "description": "This delivery was here before; nothing was changed."},
    **documented(400, 401, 408, 413, 503),
}


@router.post(
    "/webhooks/github",
    status_code=202,
    response_model_exclude_none=True,
    responses=RESPONSES,
    openapi_extra=documentation("X-Hub-Signature-256", "X-GitHub-Delivery", "X-GitHub-Event"),
)
async def receive_github(request: Request, response: Response, gateway: TheGateway) -> DeliveryAnswer:
    """A GitHub webhook, signed with a secret of ours. Answered once it is stored."""
    body = await request.body()
    receipt = await run_in_threadpool(_github, gateway, request.headers, body)
    return answer(gateway, request, response, receipt, "github")


@router.post(
    "/webhooks/generic",
    status_code=202,
    response_model_exclude_none=True,
    responses=RESPONSES,
    openapi_extra=documentation("webhook-id", "webhook-timestamp", "webhook-signature"),
)
async def receive_generic(request: Request, response: Response, gateway: TheGateway) -> DeliveryAnswer:
    """A Standard Webhooks delivery of type `task.requested` or `source.changed`. Answered once it is stored."""
    body = await request.body()
    receipt = await run_in_threadpool(_generic, gateway, request.headers, body)
    return answer(gateway, request, response, receipt, "generic")


def _github(gateway: Gateway, headers: Mapping[str, str], body: bytes) -> Receipt:
    with verification():
        verify_github(gateway.credentials.github_secrets, body, headers.get("x-hub-signature-256"))
    refuse_form(headers)
    identity = header(headers, "X-GitHub-Delivery")
    event = header(headers, "X-GitHub-Event", EVENT, EVENT_MEANING)
    payload = parse_object(body)
    intent = github.normalise(event, payload, trigger_label=gateway.settings.trigger_label)
    return store(gateway, "github", identity, github.describe(event, payload), body, intent)


def _generic(gateway: Gateway, headers: Mapping[str, str], body: bytes) -> Receipt:
    with verification():
        verify_standard(
            gateway.credentials.generic_secrets,
            body,
            identity=headers.get("webhook-id"),
            timestamp=headers.get("webhook-timestamp"),
            signature=headers.get("webhook-signature"),
            now=time.time(),
        )
    identity = header(headers, "webhook-id")
    payload = parse_object(body)
    intent = generic.normalise(payload)
    return store(gateway, "generic", identity, generic.describe(payload), body, intent)


@contextmanager
def verification() -> Iterator[None]:
    """A signature that is refused inside is answered 401, with the reason's code."""
    try:
        yield
    except SignatureRefused as error:
        raise Refused(401, error.code, str(error)) from error


def header(
    headers: Mapping[str, str], name: str, pattern: str = IDENTITY, meaning: str = "1 to 200 visible ASCII"
) -> str:
    """A header that must be there. Raises `Refused` (400) naming it."""
    value = headers.get(name.lower())
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
