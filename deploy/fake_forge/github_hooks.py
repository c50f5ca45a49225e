"""GitHub's webhooks: `issues`, `issue_comment`, `pull_request`, `push` and those of reviews."""

import hashlib
import hmac
from typing import Any

from deploy.fake_forge import git, github_shapes, reviews
from deploy.fake_forge.records import Comment, Issue, Pull, Repository, User

_NOTHING = "0" * 40


def message(
    url: str, event: str, action: str, repository: Repository, owner: User, user: User, what: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    """The event's name and the payload."""
    payload: dict[str, Any] = {"action": action} if action else {}
    payload |= _push(url, repository, user, what) if "branch" in what else _shown(url, repository, owner, what)
    payload |= {
        "repository": github_shapes.repository(url, repository, owner, "read"),
        "sender": github_shapes.user(url, user),
    }
    return event, payload


def headers(event: str, identity: str, body: bytes, secret: str) -> dict[str, str]:
    return {
        "User-Agent": "GitHub-Hookshot/fake",
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": identity,
        "X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
    }


def _shown(url: str, repository: Repository, owner: User, what: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    issue: Issue | None = what.get("issue")
    comment: Comment | None = what.get("comment")
    pull: Pull | None = what.get("pull_request")
    if pull:
        shown["number"] = pull.number
        shown["pull_request"] = github_shapes.pull(url, repository, owner, pull)
    if issue:
        shown["issue"] = github_shapes.issue(url, repository, issue)
    if label := what.get("label"):
        shown["label"] = github_shapes.label(url, repository, label)
    if assignee := what.get("assignee"):
        shown["assignee"] = github_shapes.user(url, assignee)
    if pull and (remark := what.get("remark")):
        shown["comment"] = reviews.comment(url, repository, pull, remark)
    if pull and (review := what.get("review")):
        shown["review"] = reviews.review(url, repository, pull, review)
    if issue and comment:
        shown["comment"] = github_shapes.comment(url, repository, issue, comment)
    return shown


def _push(url: str, repository: Repository, user: User, what: dict[str, Any]) -> dict[str, Any]:
    before, after = what["before"] or _NOTHING, what["after"] or _NOTHING
    head = git.commit(repository.path, after) if what["after"] else None
    commit = head and {
        "id": head.sha,
        "tree_id": head.tree,
        "message": head.message,
        "timestamp": head.date,
        "url": f"{url}/{repository.full_name}/commit/{head.sha}",
        "author": {"name": head.author, "email": head.email},
        "committer": {"name": head.author, "email": head.email},
        **{name: [] for name in ("added", "removed", "modified")},
    }
    return {
        "ref": f"refs/heads/{what['branch']}",
        "before": before,
        "after": after,
        "created": what["before"] is None,
        "deleted": what["after"] is None,
        "forced": False,
        "base_ref": None,
        "compare": f"{url}/{repository.full_name}/compare/{before[:12]}...{after[:12]}",
        "commits": [commit] if commit else [],
        "head_commit": commit,
        "pusher": {"name": user.login, "email": f"{user.login}@users.invalid"},
    }
