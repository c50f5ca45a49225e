"""Intents of GitLab webhooks: of projects and groups, and of system hooks.

Webhooks: https://docs.gitlab.com/user/project/integrations/webhooks/. Rules apply to issues and notes, as on GitHub.
Confidential issues and notes start none, and searches do not find them.
"""

from collections.abc import Mapping
from typing import Any

from core.intake import Intent, NoIntent, RenameIntent, Target
from core.intents import about_ticket, new_comment, push, signal_of
from core.payload import Needed, Payload, parse, shown
from core.repository_names import RepositoryId
from core.reviews import note_of
from core.rules import Rules
from core.tickets import gitlab
from core.tickets.fields import RepositoryName
from core.tickets.gitlab_shapes import completed, identity_of, kind_of
from gateway.checks import pipeline_intent

_MOVED = ("project_rename", "project_transfer")
_PUSHES = ("push", "tag_push")


class _InProject(Payload):
    project: Needed[gitlab.Project]


class _Moved(_InProject):
    old_path_with_namespace: RepositoryName | None = None


def describe(payload: Mapping[str, Any]) -> str:
    """The kind of the event and its action, for example "issue.open" or "push"."""
    attributes = payload.get("object_attributes")
    action = shown(attributes.get("action"), 64) if isinstance(attributes, Mapping) else None
    kind = shown(kind_of(payload), 64) or "unknown"
    return f"{kind}.{action}" if action else kind


def normalise(payload: Mapping[str, Any], *, rules: Rules) -> Intent:
    """The intent of a delivery. Raises only `BadField`."""
    kind = kind_of(payload)
    whole, identity = completed(payload), identity_of(payload)
    if kind in _PUSHES:
        return push(whole, lambda: _target(parse(_InProject, whole).project.path_with_namespace, identity))
    if kind == "repository_update":
        return NoIntent("repository_update starts no work: the pushes that it sums up are sent as events of their own")
    if kind in _MOVED:
        moved = parse(_Moved, whole)
        return RenameIntent(_target(moved.project.path_with_namespace, identity), moved.old_path_with_namespace)
    if kind == "issue":
        delivery = parse(gitlab.TicketDelivery, whole)
        change = delivery.change()
        opened = delivery.object_attributes.action == "open"
        signal = signal_of(
            change.ticket, delivery.user, opened=opened, labels=delivery.labels_given, assigned=delivery.assigned
        )
        return about_ticket(change, identity, signal, rules)
    found = gitlab.change(whole)
    if found is None and kind == "pipeline" and (failed := pipeline_intent(whole, identity, rules)) is not None:
        return failed
    if found is None:
        return NoIntent(f"{describe(payload)} starts no work")
    feedback = note_of(whole) if kind == "note" else None
    comment = new_comment(found)
    if comment is None:
        return about_ticket(found, identity, feedback=feedback)
    signal = signal_of(found.ticket, parse(gitlab.Delivery, whole).user, comment=comment)
    return about_ticket(found, identity, signal, rules, feedback)


def _target(name: str, identity: RepositoryId | None) -> Target:
    return Target(repository=name, forge_id=identity)
