"""What a GitHub webhook asks of the platform. Pure functions: payload in, intent out.

Payloads: https://docs.github.com/webhooks/webhook-events-and-payloads. Issues, pull requests and their
comments are ticket changes, an opened issue is also work; every other kind, known or not, is
acknowledged with the reason why it starts none.
"""

from collections.abc import Mapping
from typing import Any

from core.intake import Intent, NoIntent
from core.payload import shown, text_at, value_at
from core.tickets import github
from gateway.forge_intents import Opened, about_ticket, push, work_of
from gateway.payload import naming_fields

_MOVED = ("renamed", "transferred")


def describe(event: str, payload: Mapping[str, Any]) -> str:
    """What the delivery tells, as "issues.opened" or "push"."""
    action = shown(payload.get("action"), 64)
    return f"{event}.{action}" if action else event


@naming_fields
def normalise(event: str, payload: Mapping[str, Any], *, trigger_label: str | None) -> Intent:
    """What `event` (the X-GitHub-Event header) asks for. Raises `Refused` (400) naming the field that is
    missing or of a wrong type; nothing else, whatever the payload."""
    if event == "push":
        return push(payload, "repository.full_name")
    work = work_of(_opened(payload), trigger_label) if event == "issues" else None
    if event == "issues" and value_at(payload, "issue.number") is None:
        return work or NoIntent(f"{describe(event, payload)} starts no work")
    change = github.change(event, payload)
    if change is not None:
        return about_ticket(change, work)
    if event == "repository" and payload.get("action") in _MOVED:
        return NoIntent("the repository has a new name: give its source that name, so that events find it")
    return NoIntent(f"{describe(event, payload)} starts no work")


def _opened(payload: Mapping[str, Any]) -> Opened:
    action = text_at(payload, "action")
    return Opened(
        payload,
        project="repository.full_name",
        title="issue.title",
        body="issue.body",
        url="issue.html_url",
        author="issue.user.login",
        opened=action == "opened",
        labels_given=(text_at(payload, "label.name"),) if action == "labeled" else (),
    )
