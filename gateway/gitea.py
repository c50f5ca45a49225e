"""What a Gitea (or Forgejo) webhook asks of the platform.

Webhooks: https://docs.gitea.com/usage/webhooks. Bodies are GitHub's but for a few names.
"""

from collections.abc import Mapping
from typing import Any

from core.intake import Intent, NoIntent
from core.payload import parse
from core.tickets import Service
from gateway.forge_intents import push
from gateway.github import InRepository, about, describe
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


@naming_fields
def normalise(event: str, payload: Mapping[str, Any], *, trigger_label: str | None) -> Intent:
    """What `event` (the X-Gitea-Event header) asks for. Raises `Refused` (400) naming the field that is missing or of
    a wrong type; nothing else."""
    if event == "push":
        return push(payload, lambda: parse(InRepository, payload).repository.full_name)
    kind = _KINDS.get(event, "")
    if kind == "issue_comment" and payload.get("comment") is None:
        kind = "pull_request"  # a review's words go by the same name
    return about(kind, payload, Service.GITEA, trigger_label) or NoIntent(f"{describe(event, payload)} starts no work")
