"""Intents of GitHub webhooks. Pure functions: payload in, intent out.

Payloads: https://docs.github.com/webhooks/webhook-events-and-payloads. Events about issues, pull requests and their
comments are ticket changes; an opened issue also starts a task. Every other event, known or not, is acknowledged with
the reason why it starts none.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from core.intake import Intent, NoIntent, RenameIntent, Target
from core.intents import about_ticket, happened, push, starts_work, unlabelled, work_of
from core.payload import Needed, Payload, clean, parse, shown
from core.tickets import Service
from core.tickets.fields import Name, Repository, label_names
from core.tickets.github import DELIVERIES, IssueDelivery, change_of
from core.tickets.record import Kind

_MOVED = ("renamed", "transferred")


class _InRepository(Payload):
    repository: Needed[Repository]


class _Owner(Payload):
    login: Name = None


class _FormerOwner(Payload):
    user: _Owner | None = None
    organization: _Owner | None = None


class _Former(Payload):
    """A former name or owner."""

    former: Any = Field(default=None, alias="from")


class _OwnerChange(Payload):
    former: _FormerOwner | None = Field(default=None, alias="from")


class _RepositoryChange(Payload):
    name: _Former | None = None


class _Changes(Payload):
    repository: _RepositoryChange | None = None
    owner: _OwnerChange | None = None


class _Moved(_InRepository):
    changes: _Changes | None = None

    @property
    def former(self) -> str | None:
        """The repository's name before it was renamed or transferred, as far as the payload says."""
        owner, _, name = self.repository.full_name.partition("/")
        renamed = self.changes and self.changes.repository and self.changes.repository.name
        moved = self.changes and self.changes.owner and self.changes.owner.former
        left = moved and (moved.user or moved.organization)
        if renamed and isinstance(renamed.former, str):
            name = renamed.former
        if left and left.login:
            owner = left.login
        former = clean(f"{owner}/{name}").lower()[:300]
        return former if former != self.repository.full_name else None


def describe(event: str, payload: Mapping[str, Any]) -> str:
    """The name of the event and its action, for example "issues.opened" or "push"."""
    action = shown(payload.get("action"), 64)
    return f"{event}.{action}" if action else event


def normalise(event: str, payload: Mapping[str, Any], *, trigger_label: str | None) -> Intent:
    """The intent of `event` (the X-GitHub-Event header). Raises only `BadField`, whatever the payload."""
    if event == "push":
        return push(payload, lambda: repository_of(payload, Service.GITHUB))
    if event == "repository" and payload.get("action") in _MOVED:
        moved = parse(_Moved, payload)
        return RenameIntent(_target(moved.repository, Service.GITHUB), moved.former)
    found = ticket_intent(event, payload, Service.GITHUB, trigger_label)
    return found or NoIntent(f"{describe(event, payload)} starts no work")


def repository_of(payload: Mapping[str, Any], service: Service) -> Target:
    """The repository that a delivery is about. Raises `BadField`."""
    return _target(parse(_InRepository, payload).repository, service)


def _target(repository: Repository, service: Service) -> Target:
    return Target(repository=repository.full_name, forge_id=repository.identity(service))


def ticket_intent(event: str, payload: Mapping[str, Any], service: Service, trigger_label: str | None) -> Intent | None:
    """The intent of an event about a ticket; None for any other event."""
    model = DELIVERIES.get(event)
    if model is None or (event == "issues" and _irrelevant(payload, trigger_label)):
        return None
    delivery = parse(model, payload)
    identity = delivery.repository.identity(service)
    if type(delivery) is not IssueDelivery:
        return about_ticket(change_of(event, delivery, service), repository=identity)
    project, opened, number = delivery.repository.full_name, delivery.action == "opened", delivery.issue.number
    work, given = None, _labels_given(delivery, service)
    if starts_work(opened, given, trigger_label):
        issue = delivery.issue.snapshot(Kind.ISSUE, project)
        happening = happened(service, f"#{number}", opened, trigger_label, issue) if number else None
        work = work_of(project, issue, identity, happening, delivery.sender)
    if number is None:
        return work
    reason = unlabelled(opened, given, trigger_label)
    return about_ticket(change_of(event, delivery, service), work, identity, reason)


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
