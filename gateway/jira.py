"""Intents of Jira webhooks.

Webhooks: https://developer.atlassian.com/cloud/jira/platform/webhooks/. Jira's tickets are searchable with a source's
code. They start no tasks, since they do not name a repository to change.
"""

from collections.abc import Mapping
from typing import Any

from core.intake import Intent, NoIntent
from core.intents import about_ticket
from core.payload import shown
from core.tickets import jira


def describe(payload: Mapping[str, Any]) -> str:
    """The delivery's event, for example "jira:issue_updated"."""
    return shown(jira.event_of(payload), 128) or "unknown"


def normalise(payload: Mapping[str, Any]) -> Intent:
    """The intent of a delivery. Raises only `BadField`."""
    try:
        change = jira.change(payload)
    except jira.Unclear as unclear:
        return NoIntent(f"the payload starts no work: {unclear}"[:500])
    return NoIntent(f"{describe(payload)} starts no work") if change is None else about_ticket(change)
