"""Gitea's webhooks, which are GitHub's but for a few names; https://docs.gitea.com/usage/webhooks."""

import hashlib
import hmac
from typing import Any

from deploy.fake_forge import gitea_shapes, github_hooks
from deploy.fake_forge.records import Repository, User

_ACTIONS = {"labeled": "label_updated", "unlabeled": "label_updated", "synchronize": "synchronized"}

_REVIEWS = {
    "approved": ("pull_request_approved", "pull_request_review_approved"),
    "commented": ("pull_request_comment", "pull_request_review_comment"),
    "changes_requested": ("pull_request_rejected", "pull_request_review_rejected"),
}
"""The names of the events, and the types of the reviews in them, which have no id."""


def message(
    url: str, event: str, action: str, repository: Repository, owner: User, user: User, what: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    """The event's name and the payload."""
    payload: dict[str, Any] = {
        "repository": gitea_shapes.repository(url, repository, owner, "read"),
        "sender": gitea_shapes.user(url, user),
    }
    if "branch" in what:
        sent = github_hooks.message(url, event, action, repository, owner, user, what)[1]
        return event, payload | {name: sent[name] for name in ("ref", "before", "after", "commits", "head_commit")}
    payload["action"] = _ACTIONS.get(action, action)
    if review := what.get("review"):
        event, kind = _REVIEWS[review.state]
        payload |= {"action": "reviewed", "review": {"type": kind, "content": review.body}}
    if pull := what.get("pull_request"):
        payload |= {"number": pull.number, "pull_request": gitea_shapes.pull(url, repository, owner, pull)}
    if issue := what.get("issue"):
        payload |= {"number": issue.number, "issue": gitea_shapes.issue(url, repository, issue)}
        if comment := what.get("comment"):
            payload["comment"] = gitea_shapes.comment(url, repository, issue, comment)
    if label := what.get("label"):
        name = "added_labels" if action == "labeled" else "removed_labels"
        payload["changes"] = {name: [gitea_shapes.label(url, repository, label)]}
    return event, payload


def headers(event: str, identity: str, body: bytes, secret: str) -> dict[str, str]:
    return {
        "X-Gitea-Event": event,
        "X-Gitea-Delivery": identity,
        "X-Gitea-Signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
    }
