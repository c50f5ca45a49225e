"""Intents of GitHub webhooks. Pure functions: payload in, intent out.

Payloads: https://docs.github.com/webhooks/webhook-events-and-payloads. Events about issues, pull requests and their
comments are ticket changes; those that a rule matches also start a task. Every other event, known or not, is
acknowledged with the reason why it starts none.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import Field

from core.intake import Intent, NoIntent, RenameIntent, Target
from core.intents import about_ticket, new_comment, push, signal_of, work_of
from core.payload import Needed, Payload, clean, parse, shown
from core.reviews import review_of
from core.rules import Kind as RuleKind
from core.rules import Rules, Signal
from core.tickets import Service, Snapshot
from core.tickets.fields import Name, Repository, label_names, people_names
from core.tickets.github import DELIVERIES, IssueDelivery, change_of
from core.tickets.record import Kind
from gateway.checks import checks_intent

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


def normalise(event: str, payload: Mapping[str, Any], *, rules: Rules) -> Intent:
    """The intent of `event` (the X-GitHub-Event header). Raises only `BadField`, whatever the payload."""
    if event == "push":
        return push(payload, lambda: repository_of(payload, Service.GITHUB))
    if event == "repository" and payload.get("action") in _MOVED:
        moved = parse(_Moved, payload)
        return RenameIntent(_target(moved.repository, Service.GITHUB), moved.former)
    found = ticket_intent(event, payload, Service.GITHUB, rules)
    found = found or checks_intent(event, payload, Service.GITHUB, rules)
    return found or NoIntent(f"{describe(event, payload)} starts no work")


def repository_of(payload: Mapping[str, Any], service: Service) -> Target:
    """The repository that a delivery is about. Raises `BadField`."""
    return _target(parse(_InRepository, payload).repository, service)


def _target(repository: Repository, service: Service) -> Target:
    return Target(repository=repository.full_name, forge_id=repository.identity(service))


def ticket_intent(event: str, payload: Mapping[str, Any], service: Service, rules: Rules) -> Intent | None:
    """The intent of an event about a ticket; None for any other event."""
    model = DELIVERIES.get(event)
    if model is None or (event == "issues" and _irrelevant(payload, rules)):
        return None
    delivery = parse(model, payload)
    identity = delivery.repository.identity(service)
    if not isinstance(delivery, IssueDelivery):
        return about_ticket(change_of(event, delivery, service), identity, feedback=review_of(delivery, payload))
    project, number = delivery.repository.full_name, delivery.issue.number
    if number is None and type(delivery) is IssueDelivery:
        issue = delivery.issue.snapshot(Kind.ISSUE, project)
        target = Target(repository=project, forge_id=identity)
        return work_of(target, issue, _signal(delivery, issue, service), rules, service, None)
    change = change_of(event, delivery, service)
    if type(delivery) is IssueDelivery:
        found = about_ticket(change, identity, _signal(delivery, change.ticket, service), rules)
        if service == Service.GITEA and found.task is None and _unclear(delivery, rules):
            return replace(found, look=True, reason=_UNCLEAR)
        return found
    comment = new_comment(change)
    signal = signal_of(change.ticket, delivery.sender, comment=comment) if comment else None
    return about_ticket(change, identity, signal, rules)


def _signal(delivery: IssueDelivery, issue: Snapshot | None, service: Service) -> Signal:
    return signal_of(
        issue,
        delivery.sender,
        opened=delivery.action == "opened",
        labels=_labels_given(delivery, service),
        assigned=_assigned(delivery, service),
    )


_STARTING: Mapping[str, tuple[RuleKind, ...]] = {
    "opened": (RuleKind.OPENED, RuleKind.MENTIONED),
    "labeled": (RuleKind.LABELLED,),
    "assigned": (RuleKind.ASSIGNED,),
}
"""The rules that an action on an issue may match."""


def _irrelevant(payload: Mapping[str, Any], rules: Rules) -> bool:
    """Whether the issue has no number and the action cannot start a task."""
    issue, action = payload.get("issue"), payload.get("action")
    unknown = issue is None or (isinstance(issue, Mapping) and issue.get("number") is None)
    return unknown and isinstance(action, str) and not rules.wants(*_STARTING.get(action, ()))


_UNCLEAR = "Gitea does not say who or which label is new: the next sweep looks at the issue's history"


def _unclear(delivery: IssueDelivery, rules: Rules) -> bool:
    """Whether Gitea reports that labels or assignees changed, but not which, and a rule is about one that the issue has
    now. Versions up to 1.26 name no labels."""
    issue = delivery.issue
    held: Mapping[str, tuple[str, ...]] = {}
    if delivery.action == "label_updated" and delivery.changes is None:
        held = {"labels": label_names(issue.labels)}
    elif delivery.action == "assigned" and len(issue.assignees or ()) > 1:
        held = {"assigned": people_names(issue.assignees)}
    signal = Signal(**held)
    return signal.says_something and rules.first(signal, Service.GITEA, delivery.repository.full_name) is not None


def _assigned(delivery: IssueDelivery, service: Service) -> list[str | None]:
    """Whom the issue was just assigned to. Gitea names all who have it: of several, the new one is not known."""
    if service == Service.GITHUB:
        return [delivery.assignee.called] if delivery.assignee and delivery.action == "assigned" else []
    assignees = people_names(delivery.issue.assignees)
    return (
        list(assignees)
        if delivery.action == "opened" or (delivery.action == "assigned" and len(assignees) == 1)
        else []
    )


def _labels_given(delivery: IssueDelivery, service: Service) -> list[str]:
    """The labels that the issue has just got. GitHub sends an event for each label. Gitea lists the added ones; for an
    opened issue, all of its labels count."""
    if service == Service.GITHUB:
        return [delivery.label.name or ""] if delivery.label and delivery.action == "labeled" else []
    given = list(label_names(delivery.changes.added_labels if delivery.changes else None))
    return given + list(label_names(delivery.issue.labels if delivery.action == "opened" else None))
