"""What a GitHub webhook asks of the platform. Pure functions: payload in, intent out.

Payloads: https://docs.github.com/webhooks/webhook-events-and-payloads. Issues, pull requests and their
comments are ticket changes, an opened issue is also work; every other kind, known or not, is
acknowledged with the reason why it starts none.
"""

from collections.abc import Mapping
from typing import Any

from core.intake import Intent, NoIntent
from core.payload import Needed, Payload, parse, shown
from core.tickets import Service
from core.tickets.fields import Repository, label_names
from core.tickets.github import DELIVERIES, IssueDelivery, change_of
from core.tickets.record import Kind
from gateway.forge_intents import about_ticket, push, starts_work, work_of
from gateway.payload import naming_fields

_MOVED = ("renamed", "transferred")


class InRepository(Payload):
    repository: Needed[Repository]


def describe(event: str, payload: Mapping[str, Any]) -> str:
    """What the delivery tells, as "issues.opened" or "push"."""
    action = shown(payload.get("action"), 64)
    return f"{event}.{action}" if action else event


@naming_fields
def normalise(event: str, payload: Mapping[str, Any], *, trigger_label: str | None) -> Intent:
    """What `event` (the X-GitHub-Event header) asks for. Raises `Refused` (400) naming the field that is
    missing or of a wrong type; nothing else, whatever the payload."""
    if event == "push":
        return push(payload, lambda: parse(InRepository, payload).repository.full_name)
    if event == "repository" and payload.get("action") in _MOVED:
        return NoIntent("the repository has a new name: give its source that name, so that events find it")
    return about(event, payload, Service.GITHUB, trigger_label) or NoIntent(
        f"{describe(event, payload)} starts no work"
    )


def about(event: str, payload: Mapping[str, Any], service: Service, trigger_label: str | None) -> Intent | None:
    """What an event about a ticket asks for; None for any other."""
    model = DELIVERIES.get(event)
    if model is None or (event == "issues" and _tells_nothing(payload, trigger_label)):
        return None
    told = parse(model, payload)
    if type(told) is not IssueDelivery:
        return about_ticket(change_of(event, told, service))
    project = told.repository.full_name
    starts = starts_work(told.action == "opened", _labels_given(told, service), trigger_label)
    work = work_of(project, told.issue.snapshot(Kind.ISSUE, project)) if starts else None
    if told.issue.number is None:
        return work
    return about_ticket(change_of(event, told, service), work)


def _tells_nothing(payload: Mapping[str, Any], trigger_label: str | None) -> bool:
    """An issue without its number, to which nothing happens that could start work."""
    issue, action = payload.get("issue"), payload.get("action")
    unknown = issue is None or (isinstance(issue, Mapping) and issue.get("number") is None)
    return unknown and isinstance(action, str) and action != ("labeled" if trigger_label else "opened")


def _labels_given(told: IssueDelivery, service: Service) -> list[str]:
    """GitHub tells them one by one; Gitea those that were added, and of an issue that is opened all that it has."""
    if service == Service.GITHUB:
        return [told.label.name or ""] if told.label and told.action == "labeled" else []
    given = list(label_names(told.changes.added_labels if told.changes else None))
    return given + list(label_names(told.issue.labels if told.action == "opened" else None))
