"""Bitbucket Cloud's webhooks; https://support.atlassian.com/bitbucket-cloud/docs/event-payloads/."""

import hashlib
import hmac
from typing import Any

from deploy.fake_forge import bitbucket_shapes
from deploy.fake_forge.records import Pull, Repository, User

_ACTIONS = {"opened": "created", "reopened": "updated"}
_COMMENTS = {"created": "comment_created", "edited": "comment_updated", "deleted": "comment_deleted"}
_REVIEWS = {"approved": "approved", "changes_requested": "changes_request_created"}


def message(
    url: str, event: str, action: str, repository: Repository, owner: User, user: User, what: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    """The event's key and the payload. The state's issues have none here: they are sent as an unknown event."""
    payload: dict[str, Any] = {
        "actor": bitbucket_shapes.user(url, user),
        "repository": bitbucket_shapes.repository(url, repository, owner),
    }
    if "branch" in what:
        old, new = (_ref(what["branch"], what[name]) for name in ("before", "after"))
        change = {"new": new, "old": old, "created": old is None, "closed": new is None, "forced": False}
        return "repo:push", payload | {"push": {"changes": [change | {"commits": [], "truncated": False}]}}
    pull = what.get("pull_request") or what.get("issue")
    if not isinstance(pull, Pull):
        return f"issue:{action}", payload
    payload["pullrequest"] = bitbucket_shapes.pull(url, repository, pull)
    if said := what.get("comment") or what.get("remark"):
        payload["comment"] = bitbucket_shapes.comment(url, repository, pull, said)
        return f"pullrequest:{_COMMENTS[action]}", payload
    if review := what.get("review"):
        return f"pullrequest:{_REVIEWS.get(review.state, 'updated')}", payload
    if action == "closed":
        return f"pullrequest:{'fulfilled' if pull.merged else 'rejected'}", payload
    return f"pullrequest:{_ACTIONS.get(action, 'updated')}", payload


def _ref(name: str, commit: str | None) -> dict[str, Any] | None:
    return {"type": "branch", "name": name, "target": {"type": "commit", "hash": commit}} if commit else None


def headers(event: str, identity: str, body: bytes, secret: str) -> dict[str, str]:
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {
        "X-Event-Key": event,
        "X-Request-UUID": identity,
        "X-Attempt-Number": "1",
        "X-Hub-Signature": f"sha256={signature}",
    }
