"""Bitbucket Cloud's JSON objects, with the names and types of its REST API 2.0 and its webhooks."""

import uuid
from typing import Any

from deploy.fake_forge import git
from deploy.fake_forge.accounts import stamp
from deploy.fake_forge.records import CheckRun, Comment, Pull, Remark, Repository, User

PREFIX = "/2.0"
_SHORT = 12
"""Digits of the commits of pull requests."""


def identity(kind: str, number: int) -> str:
    """The UUID, in braces, of what has this number in the other dialects."""
    return "{" + str(uuid.uuid5(uuid.NAMESPACE_URL, f"{kind} {number}")) + "}"


def account_id(who: User) -> str:
    return f"557058:{uuid.uuid5(uuid.NAMESPACE_URL, f'account {who.id}')}"


def _html(address: str) -> dict[str, Any]:
    return {"html": {"href": address}}


def user(url: str, who: User) -> dict[str, Any]:
    """An account, which has no login. Programs are no persons."""
    found = identity("user", who.id)
    return {
        "display_name": who.name,
        "links": {"self": {"href": f"{url}{PREFIX}/users/{found}"}, **_html(f"{url}/{found}/")},
        "type": "app_user" if who.is_bot else "user",
        "uuid": found,
        "account_id": account_id(who),
        "nickname": who.login,
    }


def named(url: str, found: Repository) -> dict[str, Any]:
    """A repository as other objects name it."""
    api = f"{url}{PREFIX}/repositories/{found.full_name}"
    return {
        "type": "repository",
        "full_name": found.full_name,
        "links": {"self": {"href": api}, **_html(f"{url}/{found.full_name}")},
        "name": found.name,
        "uuid": identity("repository", found.id),
    }


def repository(url: str, found: Repository, owner: User) -> dict[str, Any]:
    is_empty = not git.branches(found.path)
    return named(url, found) | {
        "scm": "git",
        "website": None,
        "owner": user(url, owner),
        "workspace": {"type": "workspace", "uuid": identity("user", owner.id), "slug": found.owner},
        "is_private": found.private,
        "description": found.description,
        "mainbranch": None if is_empty else {"name": found.default_branch, "type": "branch"},
        "created_on": stamp(found.created),
        "updated_on": stamp(found.pushed or found.created),
        "size": 0 if is_empty else 1000,
        "language": "",
        "has_issues": False,
        "has_wiki": False,
        "fork_policy": "allow_forks",
        "parent": None,
    }


def state(what: Pull) -> str:
    return "MERGED" if what.merged else "OPEN" if what.state == "open" else "DECLINED"


def _end(url: str, found: Repository, branch: str, commit: str) -> dict[str, Any]:
    return {
        "branch": {"name": branch},
        "commit": {"type": "commit", "hash": commit[:_SHORT]},
        "repository": named(url, found),
    }


def pull_page(url: str, found: Repository, what: Pull) -> str:
    return f"{url}/{found.full_name}/pull-requests/{what.iid}"


def pull(url: str, found: Repository, what: Pull) -> dict[str, Any]:
    api = f"{url}{PREFIX}/repositories/{found.full_name}/pullrequests/{what.iid}"
    return {
        "type": "pullrequest",
        "id": what.iid,
        "title": what.title,
        "description": what.body,
        "summary": {"type": "rendered", "raw": what.body, "markup": "markdown", "html": ""},
        "state": state(what),
        "draft": what.draft,
        "author": user(url, what.author),
        "source": _end(url, found, what.head, what.head_commit),
        "destination": _end(url, found, what.base, what.base_commit),
        "merge_commit": {"type": "commit", "hash": what.merge_commit[:_SHORT]} if what.merge_commit else None,
        "close_source_branch": True,
        "closed_by": user(url, what.merged_by) if what.merged_by else None,
        "reason": "",
        "reviewers": [user(url, who) for who in what.reviewers],
        "participants": [],
        "comment_count": len(what.comments) + len(what.remarks),
        "task_count": 0,
        "created_on": stamp(what.created),
        "updated_on": stamp(what.updated),
        "links": {"self": {"href": api}, **_html(pull_page(url, found, what))},
    }


def comment(url: str, found: Repository, of: Pull, what: Comment) -> dict[str, Any]:
    """A comment on a pull request or, for a `Remark`, on a line of it."""
    page = f"{pull_page(url, found, of)}/_/diff#comment-{what.id}"
    api = f"{url}{PREFIX}/repositories/{found.full_name}/pullrequests/{of.iid}/comments/{what.id}"
    shown = {
        "type": "pullrequest_comment",
        "id": what.id,
        "content": {"type": "rendered", "raw": what.body, "markup": "markdown", "html": ""},
        "user": user(url, what.author),
        "deleted": False,
        "pending": False,
        "created_on": stamp(what.created),
        "updated_on": stamp(what.updated),
        "links": {"self": {"href": api}, **_html(page)},
        "pullrequest": {"type": "pullrequest", "id": of.iid, "title": of.title},
    }
    if isinstance(what, Remark):
        shown["inline"] = {"path": what.path, "from": None, "to": what.line}
        if what.thread != what.id:
            shown["parent"] = {"id": what.thread}
    return shown


_STATES = {"queued": "INPROGRESS", "in_progress": "INPROGRESS"}
_CONCLUSIONS = {"success": "SUCCESSFUL", "failure": "FAILED", "cancelled": "STOPPED"}


def status(url: str, found: Repository, run: CheckRun) -> dict[str, Any]:
    """A check as the status that a builder has set."""
    return {
        "type": "build",
        "uuid": identity("status", run.id),
        "key": f"build-{run.id}",
        "name": run.name,
        "refname": None,
        "state": _STATES.get(run.status) or _CONCLUSIONS.get(run.conclusion or "", "SUCCESSFUL"),
        "url": f"{url}/{found.full_name}/pipelines/results/{run.id}",
        "description": str(run.output.get("summary", ""))[:255],
        "created_on": stamp(run.created),
        "updated_on": stamp(run.completed or run.created),
        "commit": {"type": "commit", "hash": run.head_commit},
    }


def pipeline(run: CheckRun) -> dict[str, Any]:
    """A check of the forge's own builds as a pipeline."""
    return {
        "type": "pipeline",
        "uuid": identity("pipeline", run.id),
        "build_number": run.id,
        "target": {"type": "pipeline_commit_target", "commit": {"type": "commit", "hash": run.head_commit}},
        "state": {"name": "COMPLETED", "result": {"name": _CONCLUSIONS.get(run.conclusion or "", "SUCCESSFUL")}},
        "created_on": stamp(run.created),
    }


def step(run: CheckRun, name: str, conclusion: str | None) -> dict[str, Any]:
    return {
        "type": "pipeline_step",
        "uuid": identity(f"step {name}", run.id),
        "name": name,
        "state": {"name": "COMPLETED", "result": {"name": _CONCLUSIONS.get(conclusion or "", "SUCCESSFUL")}},
    }
