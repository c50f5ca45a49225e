"""Intents of GitLab webhooks.

Webhooks: https://docs.gitlab.com/user/project/integrations/webhooks/. An opened issue starts a task, as on GitHub.
Confidential issues and notes start none, and searches do not find them.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from core.intake import Intent, NoIntent, TaskIntent
from core.payload import Needed, Payload, parse, shown
from core.tickets import TicketChange, gitlab
from gateway.forge_intents import about_ticket, push, starts_work, work_of


class _InProject(Payload):
    project: Needed[gitlab.Project]


def describe(payload: Mapping[str, Any]) -> str:
    """The kind of the event and its action, for example "issue.open" or "push"."""
    attributes = payload.get("object_attributes")
    action = shown(attributes.get("action"), 64) if isinstance(attributes, Mapping) else None
    kind = shown(payload.get("object_kind") or payload.get("event_name"), 64) or "unknown"
    return f"{kind}.{action}" if action else kind


def normalise(payload: Mapping[str, Any], *, trigger_label: str | None) -> Intent:
    """The intent of a delivery. Raises only `BadField`."""
    kind = payload.get("object_kind")
    if kind == "push":
        return push(payload, lambda: parse(_InProject, payload).project.path_with_namespace)
    if kind == "issue":
        delivery = parse(gitlab.TicketDelivery, payload)
        change = delivery.change()
        return about_ticket(change, _work(delivery, change, trigger_label))
    found = gitlab.change(payload)
    return NoIntent(f"{describe(payload)} starts no work") if found is None else about_ticket(found)


def _work(delivery: gitlab.TicketDelivery, change: TicketChange, trigger_label: str | None) -> TaskIntent | None:
    issue = delivery.object_attributes
    if issue.confidential or change.ticket is None:
        return None
    if not starts_work(issue.action == "open", delivery.labels_given, trigger_label):
        return None
    return replace(work_of(change.project, change.ticket), author=delivery.user.called if delivery.user else None)
