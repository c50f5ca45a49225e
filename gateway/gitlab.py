"""What a GitLab webhook asks of the platform.

Webhooks: https://docs.gitlab.com/user/project/integrations/webhooks/. An issue opened is work, as on
GitHub; confidential issues and notes start none, and are kept out of search.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from core.intake import Intent, NoIntent, TaskIntent
from core.payload import Needed, Payload, parse, shown
from core.tickets import TicketChange, gitlab
from gateway.forge_intents import about_ticket, push, starts_work, work_of
from gateway.payload import naming_fields


class _InProject(Payload):
    project: Needed[gitlab.Project]


def describe(payload: Mapping[str, Any]) -> str:
    """What the delivery tells, as "issue.open" or "push"."""
    attributes = payload.get("object_attributes")
    action = shown(attributes.get("action"), 64) if isinstance(attributes, Mapping) else None
    kind = shown(payload.get("object_kind") or payload.get("event_name"), 64) or "unknown"
    return f"{kind}.{action}" if action else kind


@naming_fields
def normalise(payload: Mapping[str, Any], *, trigger_label: str | None) -> Intent:
    """Raises `Refused` (400) naming the field that is missing or of a wrong type; nothing else."""
    kind = payload.get("object_kind")
    if kind == "push":
        return push(payload, lambda: parse(_InProject, payload).project.path_with_namespace)
    if kind == "issue":
        told = parse(gitlab.TicketDelivery, payload)
        change = told.change()
        return about_ticket(change, _work(told, change, trigger_label))
    found = gitlab.change(payload)
    return NoIntent(f"{describe(payload)} starts no work") if found is None else about_ticket(found)


def _work(told: gitlab.TicketDelivery, change: TicketChange, trigger_label: str | None) -> TaskIntent | None:
    issue = told.object_attributes
    if issue.confidential or change.ticket is None:
        return None
    if not starts_work(issue.action == "open", told.labels_given, trigger_label):
        return None
    return replace(work_of(change.project, change.ticket), author=told.user.called if told.user else None)
