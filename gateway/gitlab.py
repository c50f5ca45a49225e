"""Intents of GitLab webhooks: of projects and groups, and of system hooks.

Webhooks: https://docs.gitlab.com/user/project/integrations/webhooks/. An opened issue starts a task, as on GitHub.
Confidential issues and notes start none, and searches do not find them.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from core.intake import Intent, NoIntent, RenameIntent, Target, TaskIntent
from core.intents import about_ticket, happened, push, starts_work, unlabelled, work_of
from core.payload import Needed, Payload, parse, shown
from core.repository_names import RepositoryId
from core.tickets import Service, TicketChange, gitlab
from core.tickets.fields import RepositoryName
from core.tickets.gitlab_shapes import completed, identity_of, kind_of

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


def normalise(payload: Mapping[str, Any], *, trigger_label: str | None) -> Intent:
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
        reason = unlabelled(opened, delivery.labels_given, trigger_label)
        return about_ticket(change, _work(delivery, change, trigger_label, identity), identity, reason)
    found = gitlab.change(whole)
    if found is None:
        return NoIntent(f"{describe(payload)} starts no work")
    return about_ticket(found, repository=identity)


def _target(name: str, identity: RepositoryId | None) -> Target:
    return Target(repository=name, forge_id=identity)


def _work(
    delivery: gitlab.TicketDelivery, change: TicketChange, trigger_label: str | None, identity: RepositoryId | None
) -> TaskIntent | None:
    issue, opened = delivery.object_attributes, delivery.object_attributes.action == "open"
    if issue.confidential or change.ticket is None:
        return None
    if not starts_work(opened, delivery.labels_given, trigger_label):
        return None
    happening = happened(Service.GITLAB, change.key, opened, trigger_label, change.ticket)
    author = delivery.user.called if delivery.user else None
    return replace(work_of(change.project, change.ticket, identity, happening, delivery.user), author=author)
