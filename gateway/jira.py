"""What a Jira webhook asks of the platform.

Webhooks: https://developer.atlassian.com/cloud/jira/platform/webhooks/. Its tickets are found beside a
source's code; they start no work by themselves, since which repository would be changed is not theirs to say.
"""

from collections.abc import Mapping
from typing import Any

from core.intake import Intent, NoIntent
from core.payload import shown
from core.tickets import jira
from gateway.forge_intents import about_ticket
from gateway.payload import naming_fields


def describe(payload: Mapping[str, Any]) -> str:
    """What the delivery tells, as "jira:issue_updated"."""
    return shown(payload.get("webhookEvent"), 128) or "unknown"


@naming_fields
def normalise(payload: Mapping[str, Any]) -> Intent:
    """Raises `Refused` (400) naming the field that is missing or of a wrong type; nothing else."""
    change = jira.change(payload)
    return NoIntent(f"{describe(payload)} starts no work") if change is None else about_ticket(change)
