"""Intents of Gitea (and Forgejo) webhooks.

Webhooks: https://docs.gitea.com/usage/webhooks. The bodies are GitHub's, except for a few names.
"""

from collections.abc import Mapping
from typing import Any

from core.intake import Intent, NoIntent
from core.intents import push
from core.rules import Rules
from core.tickets import Service
from gateway.checks import checks_intent
from gateway.github import describe, repository_of, ticket_intent

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
"""Gitea's event names, old and new, and the matching GitHub ones. A comment is sent with its issue. A review has no id,
so only the state of its pull request is stored."""


def normalise(event: str, payload: Mapping[str, Any], *, rules: Rules) -> Intent:
    """The intent of `event` (the X-Gitea-Event header). Raises only `BadField`."""
    if event == "push":
        return push(payload, lambda: repository_of(payload, Service.GITEA))
    kind = _KINDS.get(event, "")
    if kind == "issue_comment" and payload.get("comment") is None:
        kind = "pull_request"  # a review's text arrives under the same event name
    found = ticket_intent(kind, payload, Service.GITEA, rules)
    found = found or checks_intent(event, payload, Service.GITEA, rules)
    return found or NoIntent(f"{describe(event, payload)} starts no work")
