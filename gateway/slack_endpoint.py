"""`/webhooks/slack`: one address for Slack's events, buttons and slash commands, each answered once it is stored.

Slack waits for three seconds and repeats events that are not answered with 2xx; a repeat changes nothing.
"""

import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field

from core.intake import NoIntent, Receipt
from core.payload import clean
from core.signatures import verify_slack
from core.states import DeliveryState
from gateway import slack
from gateway.deliveries import IDENTITY, DeliveryAnswer, answer, body_digest, store
from gateway.payload import parse_object, room_for
from gateway.problems import Refused, documented
from gateway.state import Gateway, TheGateway

ORIGIN = "slack"
MOST_FIELDS = 100
_CHALLENGE = r"[\x21-\x7e]{1,1000}"

router = APIRouter(tags=["webhooks"])


class SlackAnswer(BaseModel):
    """What Slack gets: the challenge of a new address, what a slash command says to whoever gave it, or the outcome of
    a delivery."""

    challenge: str | None = None
    response_type: str | None = None
    text: str | None = None
    status: str | None = Field(default=None, description="As for other deliveries.")
    delivery: str | None = None
    task: str | None = None
    reason: str | None = None


@router.post(
    "/webhooks/slack",
    description="Requests of a Slack app, signed with its signing secret: events as JSON, buttons and slash commands "
    "as forms. The answer is sent once the delivery is stored.",
    response_model_exclude_none=True,
    responses=documented(400, 401, 408, 413, 429, 503),
    openapi_extra={
        "parameters": [
            {"name": name, "in": "header", "required": True, "schema": {"type": "string"}}
            for name in ("X-Slack-Signature", "X-Slack-Request-Timestamp")
        ],
        "requestBody": {
            "required": True,
            "content": {
                kind: {"schema": {"type": "object"}}
                for kind in ("application/json", "application/x-www-form-urlencoded")
            },
        },
    },
)
async def receive_slack(request: Request, response: Response, gateway: TheGateway) -> SlackAnswer:
    body = await request.body()
    made, receipt = await run_in_threadpool(_received, gateway, request.headers, body)
    if receipt is not None:
        found = answer(gateway, request, response, receipt, ORIGIN)
        response.status_code = 200  # for Slack, anything else is a failed command
        made = made or _outcome(found)
    return made or SlackAnswer()


def _received(gateway: Gateway, headers: Mapping[str, str], body: bytes) -> tuple[SlackAnswer | None, Receipt | None]:
    verify_slack(
        gateway.credentials.slack_secrets,
        body,
        timestamp=headers.get("x-slack-request-timestamp"),
        signature=headers.get("x-slack-signature"),
        now=time.time(),
    )
    gateway.webhook_limit.require(ORIGIN, f"the sender {ORIGIN}")
    with room_for(body):
        payload = _payload(headers, body)
        if payload.get("type") == "url_verification":
            return SlackAnswer(challenge=_challenge(payload)), None
        said = None
        if "command" in payload and "type" not in payload:
            intent, said = slack.slash_command(payload)
        else:
            intent = slack.normalise(payload, rules=gateway.settings.rules)
        identity, kind = _identity(payload, body), slack.describe(payload)
    receipt = store(gateway, ORIGIN, identity, kind, body, intent)
    if said is None:
        return None, receipt
    unlinked = receipt.state is DeliveryState.IGNORED and not isinstance(intent, NoIntent)
    text = "This channel is not linked to a source of Penstock." if unlinked else said
    return SlackAnswer(response_type="ephemeral", text=text), receipt


def _payload(headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """The JSON object of an event or a button, or the fields of a slash command. Raises `Refused` (400)."""
    if not headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return parse_object(body)
    try:
        form = dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError as error:
        raise Refused(400, "malformed", f"the body is not a form of at most {MOST_FIELDS} fields") from error
    if "payload" in form:
        return parse_object(form["payload"].encode("utf-8", "surrogateescape"))
    if "command" not in form:
        raise Refused(400, "malformed", "the form has neither a command nor a payload", field="payload")
    return {name: clean(value) for name, value in form.items() if name != "type"}


def _challenge(payload: Mapping[str, Any]) -> str:
    found = payload.get("challenge")
    if not isinstance(found, str) or not re.fullmatch(_CHALLENGE, found):
        raise Refused(400, "field", "challenge: must be 1 to 1000 visible ASCII characters", field="challenge")
    return found


def _identity(payload: Mapping[str, Any], body: bytes) -> str:
    """The id of an event, or of what a person did; the same for a repeat."""
    found = payload.get("event_id", payload.get("trigger_id"))
    return found if isinstance(found, str) and re.fullmatch(IDENTITY, found) else body_digest(body)


def _outcome(found: DeliveryAnswer) -> SlackAnswer:
    return SlackAnswer(**found.model_dump(mode="json"))
