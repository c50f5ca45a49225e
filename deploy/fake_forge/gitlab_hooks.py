"""GitLab's webhooks of a project; https://docs.gitlab.com/user/project/integrations/webhook_events/."""

from typing import Any

from deploy.fake_forge import gitlab_shapes
from deploy.fake_forge.records import Comment, Issue, Label, Pull, Remark, Repository, User

_NOTHING = "0" * 40
_ACTIONS = {"opened": "open", "closed": "close", "reopened": "reopen"}


def message(
    url: str, event: str, action: str, repository: Repository, owner: User, user: User, what: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    """The event's name and the payload."""
    page = f"{url}/{repository.full_name}"
    payload: dict[str, Any] = {
        "user": gitlab_shapes.user(url, user),
        "project": {
            "id": repository.id,
            "name": repository.name,
            "web_url": page,
            "git_http_url": f"{page}.git",
            "namespace": repository.owner,
            "path_with_namespace": repository.full_name,
            "default_branch": repository.default_branch,
        },
    }
    if "branch" in what:
        pushed = {
            "object_kind": "push",
            "ref": f"refs/heads/{what['branch']}",
            "before": what["before"] or _NOTHING,
            "after": what["after"] or _NOTHING,
            "checkout_sha": what["after"],
            "project_id": repository.id,
            "user_username": user.login,
            "commits": [],
        }
        return "Push Hook", payload | pushed
    issue: Issue = what.get("issue") or what["pull_request"]
    kind = "merge_request" if isinstance(issue, Pull) else "issue"
    if comment := what.get("comment") or what.get("remark"):
        payload |= {"object_kind": "note", "event_type": "note", kind: _attributes(url, repository, issue)}
        note = _note(url, repository, issue, comment) | {"action": "update" if action == "edited" else "create"}
        return "Note Hook", payload | {"object_attributes": note}
    merged = isinstance(issue, Pull) and issue.merged is not None and action == "closed"
    attributes = _attributes(url, repository, issue) | {"action": "merge" if merged else _ACTIONS.get(action, "update")}
    payload |= {
        "object_kind": kind,
        "event_type": kind,
        "object_attributes": attributes,
        "labels": attributes["labels"],
        "assignees": [gitlab_shapes.user(url, one) for one in issue.assignees],
        "changes": _changes(url, issue, action, what),
    }
    return "Merge Request Hook" if kind == "merge_request" else "Issue Hook", payload


def headers(event: str, identity: str, body: bytes, secret: str) -> dict[str, str]:
    return {"X-Gitlab-Event": event, "X-Gitlab-Token": secret, "Idempotency-Key": identity}


def _attributes(url: str, repository: Repository, issue: Issue) -> dict[str, Any]:
    """An issue or merge request, whose author is given by id alone."""
    if isinstance(issue, Pull):
        shown = gitlab_shapes.merge_request(url, repository, issue)
    else:
        shown = gitlab_shapes.issue(url, repository, issue)
    shown["url"] = shown.pop("web_url")
    shown["author_id"] = shown.pop("author")["id"]
    shown["labels"] = [{"title": name} for name in issue.labels]
    shown["target"] = {"id": repository.id, "path_with_namespace": repository.full_name}
    del shown["assignees"]
    return shown


def _note(url: str, repository: Repository, issue: Issue, comment: Comment) -> dict[str, Any]:
    if isinstance(issue, Pull) and isinstance(comment, Remark):
        shown = gitlab_shapes.line_note(url, repository, issue, comment)
        shown["discussion_id"] = gitlab_shapes.discussion_of(comment.thread)
    else:
        shown = gitlab_shapes.note(url, repository, issue, comment)
    page = f"{url}/{repository.full_name}/-/{'merge_requests' if isinstance(issue, Pull) else 'issues'}/{issue.iid}"
    shown["note"], shown["author_id"] = shown.pop("body"), shown.pop("author")["id"]
    return shown | {"url": f"{page}#note_{comment.id}"}


def _changes(url: str, issue: Issue, action: str, what: dict[str, Any]) -> dict[str, Any]:
    label: Label | None = what.get("label")
    if label and action == "labeled":
        former = [name for name in issue.labels if name != label.name]
        return {"labels": {"previous": _titled(former), "current": _titled(issue.labels)}}
    if label:
        return {"labels": {"previous": _titled([*issue.labels, label.name]), "current": _titled(issue.labels)}}
    if assignee := what.get("assignee"):
        current = [gitlab_shapes.user(url, one) for one in issue.assignees]
        return {"assignees": {"previous": [one for one in current if one["id"] != assignee.id], "current": current}}
    return {}


def _titled(names: list[str]) -> list[dict[str, str]]:
    return [{"title": name} for name in names]
