"""Intents of GitHub webhooks. Pure functions: payload in, intent out.

Payloads: https://docs.github.com/webhooks/webhook-events-and-payloads. Events about issues, pull requests and their
comments are ticket changes; an opened issue also starts a task. Every other event, known or not, is acknowledged with
the reason why it starts none.
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

_MOVED = ("renamed", "transferred")


class InRepository(Payload):
    repository: Needed[Repository]


def describe(event: str, payload: Mapping[str, Any]) -> str:
    """The name of the event and its action, for example "issues.opened" or "push"."""
    action = shown(payload.get("action"), 64)
    return f"{event}.{action}" if action else event


def normalise(event: str, payload: Mapping[str, Any], *, trigger_label: str | None) -> Intent:
    """The intent of `event` (the X-GitHub-Event header). Raises only `BadField`, whatever the payload."""
    if event == "push":
        return push(payload, lambda: parse(InRepository, payload).repository.full_name)
    if event == "repository" and payload.get("action") in _MOVED:
        return NoIntent("the repository was renamed: give its source the new name, so that events match it")
    found = ticket_intent(event, payload, Service.GITHUB, trigger_label)
    return found or NoIntent(f"{describe(event, payload)} starts no work")


def ticket_intent(event: str, payload: Mapping[str, Any], service: Service, trigger_label: str | None) -> Intent | None:
    """The intent of an event about a ticket; None for any other event."""
    model = DELIVERIES.get(event)
    if model is None or (event == "issues" and _irrelevant(payload, trigger_label)):
        return None
    delivery = parse(model, payload)
    if type(delivery) is not IssueDelivery:
        return about_ticket(change_of(event, delivery, service))
    project = delivery.repository.full_name
    starts = starts_work(delivery.action == "opened", _labels_given(delivery, service), trigger_label)
    work = work_of(project, delivery.issue.snapshot(Kind.ISSUE, project)) if starts else None
    if delivery.issue.number is None:
        return work
    return about_ticket(change_of(event, delivery, service), work)


def _irrelevant(payload: Mapping[str, Any], trigger_label: str | None) -> bool:
    """Whether the issue has no number and the action cannot start a task."""
    issue, action = payload.get("issue"), payload.get("action")
    unknown = issue is None or (isinstance(issue, Mapping) and issue.get("number") is None)
    return unknown and isinstance(action, str) and action != ("labeled" if trigger_label else "opened")


def _labels_given(delivery: IssueDelivery, service: Service) -> list[str]:
    """The labels that the issue has just got. GitHub sends an event for each label. Gitea lists the added ones; for an
    opened issue, all of its labels count."""
    if service == Service.GITHUB:
        return [delivery.label.name or ""] if delivery.label and delivery.action == "labeled" else []
    given = list(label_names(delivery.changes.added_labels if delivery.changes else None))
    return given + list(label_names(delivery.issue.labels if delivery.action == "opened" else None))
