"""What a Gitea (or Forgejo) webhook asks of the platform: who sent it, and its intent.

Webhooks: https://docs.gitea.com/usage/webhooks. Bodies are GitHub's but for a few names.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from core.intake import Intent, NoIntent
from core.payload import objects_at, text_at, value_at
from core.signatures import verify_gitea
from core.tickets import Service, github
from gateway.forge_intents import Opened, about_ticket, push, work_of
from gateway.github import describe
from gateway.payload import naming_fields

_KINDS = {
    "issues": "issues",
    "issue_assign": "issues",
    "issue_label": "issues",
    "issue_milestone": "issues",
    "issue_comment": "issue_comment",
    "pull_request_comment": "issue_comment",
    "pull_request": "pull_request",
    "pull_request_assign": "pull_request",
    "pull_request_label": "pull_request",
    "pull_request_milestone": "pull_request",
    "pull_request_sync": "pull_request",
    "pull_request_review_request": "pull_request",
    "pull_request_approved": "pull_request",
    "pull_request_rejected": "pull_request",
    "pull_request_review_approved": "pull_request",
    "pull_request_review_rejected": "pull_request",
    "pull_request_review_comment": "pull_request",
}
"""Gitea's events, old names and new ones, as GitHub's. A comment comes with its issue, a review without an id of its
own: of that, what it says of the pull request is kept."""


def verify(secrets: Iterable[str], headers: Mapping[str, str], body: bytes) -> None:
    """Raises `SignatureRefused`."""
    verify_gitea(secrets, body, headers.get("x-gitea-signature"), headers.get("x-hub-signature-256"))


@naming_fields
def normalise(event: str, payload: Mapping[str, Any], *, trigger_label: str | None) -> Intent:
    """What `event` (the X-Gitea-Event header) asks for. Raises `Refused` (400) naming the field that is missing or of
    a wrong type; nothing else."""
    if event == "push":
        return push(payload, "repository.full_name")
    kind = _KINDS.get(event)
    if kind == "issue_comment" and value_at(payload, "comment") is None:
        kind = "pull_request"  # a review's words go by the same name
    if kind is None:
        return NoIntent(f"{describe(event, payload)} starts no work")
    change = github.change(kind, payload, Service.GITEA)
    if change is None:
        return NoIntent(f"{describe(event, payload)} starts no work")
    return about_ticket(change, work_of(_opened(payload), trigger_label) if kind == "issues" else None)


def _opened(payload: Mapping[str, Any]) -> Opened:
    action = text_at(payload, "action")
    added = [str(label.get("name")) for label in objects_at(payload, "changes.added_labels", 100)]
    if action == "opened":
        added += [str(label.get("name")) for label in objects_at(payload, "issue.labels", 100)]
    return Opened(
        payload,
        project="repository.full_name",
        title="issue.title",
        body="issue.body",
        url="issue.html_url",
        author="issue.user.login",
        opened=action == "opened",
        labels_given=tuple(added),
    )
