"""What a Jira webhook asks of the platform: who sent it, its delivery id, and its intent.

Webhooks: https://developer.atlassian.com/cloud/jira/platform/webhooks/. Its tickets are found beside a
source's code; they start no work by themselves, since which repository would be changed is not theirs to say.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from core.intake import Intent, NoIntent
from core.payload import shown
from core.tickets import jira
from gateway.forge_intents import about_ticket
from gateway.payload import naming_fields


def identity(headers: Mapping[str, str], body: bytes) -> str:
    """The id that Jira Cloud keeps when it repeats a delivery; Data Center sends none, so there the body stands for
    it, which holds the time of the event."""
    return headers.get("x-atlassian-webhook-identifier") or f"sha256-{hashlib.sha256(body).hexdigest()}"


def describe(payload: Mapping[str, Any]) -> str:
    """What the delivery tells, as "jira:issue_updated"."""
    return shown(payload.get("webhookEvent"), 128) or "unknown"


@naming_fields
def normalise(payload: Mapping[str, Any]) -> Intent:
    """Raises `Refused` (400) naming the field that is missing or of a wrong type; nothing else."""
    if isinstance(payload.get("webhookEvent"), str) or payload.get("webhookEvent") is None:
        change = jira.change(payload)
        if change is not None:
            return about_ticket(change)
    return NoIntent(f"{describe(payload)} starts no work")
