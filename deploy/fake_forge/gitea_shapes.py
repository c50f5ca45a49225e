"""Gitea's JSON objects, with the names and types that Gitea 1.26 answers with."""

import base64
from typing import Any

from deploy.fake_forge import git
from deploy.fake_forge.accounts import stamp
from deploy.fake_forge.exchange import clone_url
from deploy.fake_forge.records import Comment, Happened, Issue, Label, Pull, Repository, Review, User

PREFIX = "/api/v1"
_NEVER = "0001-01-01T00:00:00Z"


def user(url: str, who: User) -> dict[str, Any]:
    return {
        "id": who.id,
        "login": who.login,
        "login_name": "",
        "source_id": 0,
        "full_name": who.name,
        "email": f"{who.id}+{who.login}@noreply.localhost",
        "avatar_url": f"{url}/avatars/{who.id}",
        "html_url": f"{url}/{who.login}",
        **dict.fromkeys(("language", "location", "website", "description"), ""),
        "is_admin": False,
        "last_login": _NEVER,
        "created": stamp(who.created),
        "restricted": False,
        "active": True,
        "prohibit_login": False,
        "visibility": "public",
        **dict.fromkeys(("followers_count", "following_count", "starred_repos_count"), 0),
        "username": who.login,
    }


def repository(url: str, found: Repository, owner: User, permission: str) -> dict[str, Any]:
    api = f"{url}{PREFIX}/repos/{found.full_name}"
    return {
        "id": found.id,
        "owner": user(url, owner),
        "name": found.name,
        "full_name": found.full_name,
        "description": found.description,
        "empty": False,
        "private": found.private,
        **dict.fromkeys(("fork", "template", "mirror", "archived", "internal"), False),
        "size": 0,
        "language": "",
        "languages_url": f"{api}/languages",
        "html_url": f"{url}/{found.full_name}",
        "url": api,
        "link": "",
        "ssh_url": f"git@127.0.0.1:{found.full_name}.git",
        "clone_url": clone_url(url, found),
        **dict.fromkeys(("original_url", "website", "avatar_url"), ""),
        **dict.fromkeys(("stars_count", "forks_count", "watchers_count", "release_counter"), 0),
        "open_issues_count": sum(issue.state == "open" for issue in found.issues),
        "open_pr_counter": sum(pull.state == "open" for pull in found.pulls),
        "default_branch": found.default_branch,
        "created_at": stamp(found.created),
        "updated_at": stamp(found.pushed or found.created),
        "permissions": {
            "admin": permission == "admin",
            "push": permission in ("write", "admin"),
            "pull": permission != "none",
        },
        **dict.fromkeys(("has_code", "has_issues", "has_wiki", "has_pull_requests", "has_projects"), True),
        **dict.fromkeys(("allow_merge_commits", "allow_rebase", "allow_squash_merge"), True),
        "default_merge_style": "merge",
        "object_format_name": "sha1",
        "topics": [],
        "licenses": [],
    }


def label(url: str, found: Repository, what: Label) -> dict[str, Any]:
    return {
        "id": what.id,
        "name": what.name,
        "exclusive": False,
        "is_archived": False,
        "color": what.color,
        "description": what.description,
        "url": f"{url}{PREFIX}/repos/{found.full_name}/labels/{what.id}",
    }


def _title(what: Issue) -> str:
    return f"WIP: {what.title}" if isinstance(what, Pull) and what.draft else what.title


def _ticket(url: str, found: Repository, what: Issue) -> dict[str, Any]:
    kind = "pulls" if isinstance(what, Pull) else "issues"
    return {
        "id": what.id,
        "html_url": f"{url}/{found.full_name}/{kind}/{what.number}",
        "number": what.number,
        "user": user(url, what.author),
        "title": _title(what),
        "body": what.body,
        "labels": [label(url, found, found.labels[name]) for name in what.labels],
        "milestone": None,
        "assignee": None,
        "state": what.state,
        "is_locked": False,
        "comments": len(what.comments),
        "created_at": stamp(what.created),
        "updated_at": stamp(what.updated),
        "closed_at": stamp(what.closed),
        "due_date": None,
        "pin_order": 0,
        "content_version": 0,
    }


def issue(url: str, found: Repository, what: Issue) -> dict[str, Any]:
    """An issue, or a pull request as the issues API shows it."""
    shown = _ticket(url, found, what)
    merged = what.merged if isinstance(what, Pull) else None
    as_pull = {
        "merged": merged is not None,
        "merged_at": stamp(merged),
        "draft": isinstance(what, Pull) and what.draft,
        "html_url": shown["html_url"],
    }
    return shown | {
        "url": f"{url}{PREFIX}/repos/{found.full_name}/issues/{what.number}",
        "original_author": "",
        "original_author_id": 0,
        "ref": "",
        "assets": [],
        "assignee": user(url, what.assignees[0]) if what.assignees else None,
        "assignees": [user(url, who) for who in what.assignees] or None,
        "time_estimate": 0,
        "pull_request": as_pull if isinstance(what, Pull) else None,
        "repository": {"id": found.id, "name": found.name, "owner": found.owner, "full_name": found.full_name},
    }


def pull(url: str, found: Repository, owner: User, what: Pull, *, full: bool = True) -> dict[str, Any]:
    """A pull request; without `full` as lists show it, with null for lists that are empty."""
    page = f"{url}/{found.full_name}/pulls/{what.number}"
    repo = repository(url, found, owner, "read")

    def side(branch: str, sha: str) -> dict[str, Any]:
        ref = branch if git.branch(found.path, branch) else f"refs/pull/{what.number}/head"  # of a deleted branch
        return {"label": branch, "ref": ref, "sha": sha, "repo_id": found.id, "repo": repo}

    shown = _ticket(url, found, what) | {
        "url": page,  # so Gitea answers: the page, not the API
        "diff_url": f"{page}.diff",
        "patch_url": f"{page}.patch",
        "assignees": [],
        "requested_reviewers": [user(url, who) for who in what.reviewers],
        "requested_reviewers_teams": [],
        "draft": what.draft,
        "mergeable": what.state == "open" and not what.draft,
        "merged": what.merged is not None,
        "merged_at": stamp(what.merged),
        "merge_commit_sha": what.merge_commit,
        "merged_by": user(url, what.merged_by) if what.merged_by else None,
        "allow_maintainer_edit": True,
        "base": side(what.base, what.base_commit),
        "head": side(what.head, what.head_commit),
        "merge_base": git.merge_base(found.path, what.base_commit, what.head_commit),
    }
    if full:
        changes = what.changes
        sizes = {"additions": changes.additions, "deletions": changes.deletions, "changed_files": changes.files}
        return shown | sizes
    for name in ("assignees", "requested_reviewers", "requested_reviewers_teams"):
        shown[name] = shown[name] or None
    return shown


def comment(url: str, found: Repository, of: Issue, what: Comment) -> dict[str, Any]:
    is_pull = isinstance(of, Pull)
    page = f"{url}/{found.full_name}/{'pulls' if is_pull else 'issues'}/{of.number}"
    return {
        "id": what.id,
        "html_url": f"{page}#issuecomment-{what.id}",
        "pull_request_url": page if is_pull else "",
        "issue_url": "" if is_pull else page,
        "user": user(url, what.author),
        "original_author": "",
        "original_author_id": 0,
        "body": what.body,
        "assets": [],
        "created_at": stamp(what.created),
        "updated_at": stamp(what.updated),
    }


def happened(url: str, found: Repository, of: Issue, what: Happened, who: User | None) -> dict[str, Any]:
    """An entry of an issue's timeline; `who` is whom it was assigned to."""
    at = stamp(what.at)
    shown = {"id": what.id, "user": user(url, what.actor), "created_at": at, "updated_at": at, "body": ""}
    shown |= {
        "html_url": f"{url}/{found.full_name}/issues/{of.number}#event-{what.id}",
        "assignee": None,
        "label": None,
    }
    if who:
        return shown | {"type": "assignees", "assignee": user(url, who), "removed_assignee": False}
    added = "1" if what.kind == "labeled" else ""
    return shown | {"type": "label", "label": label(url, found, found.labels[what.name]), "body": added}


def branch(url: str, found: Repository, name: str, commit: git.Commit, may_push: bool) -> dict[str, Any]:
    who = {"name": commit.author, "email": commit.email, "username": ""}
    return {
        "name": name,
        "commit": {
            "id": commit.sha,
            "message": f"{commit.message}\n",
            "url": f"{url}/{found.full_name}/commit/{commit.sha}",
            "author": who,
            "committer": who,
            "verification": {
                "verified": False,
                "reason": "gpg.error.not_signed_commit",
                "signature": "",
                "signer": None,
                "payload": "",
            },
            "timestamp": commit.date,
            **dict.fromkeys(("added", "removed", "modified")),
        },
        "protected": False,
        "required_approvals": 0,
        "enable_status_check": False,
        "status_check_contexts": [],
        "user_can_push": may_push,
        "user_can_merge": may_push,
        "effective_branch_protection_name": "",
    }


def entry(url: str, found: Repository, what: git.Entry, ref: str, *, with_content: bool) -> dict[str, Any]:
    kind = {"blob": "file", "tree": "dir"}.get(what.kind, "submodule")
    mine = f"{url}{PREFIX}/repos/{found.full_name}/contents/{what.path}?ref={ref}"
    blob = f"{url}{PREFIX}/repos/{found.full_name}/git/{'trees' if kind == 'dir' else 'blobs'}/{what.sha}"
    page = f"{url}/{found.full_name}/src/branch/{ref}/{what.path}"
    return {
        "name": what.path.rpartition("/")[2],
        "path": what.path,
        "sha": what.sha,
        "type": kind,
        "size": what.size,
        "encoding": "base64" if with_content else None,
        "content": base64.b64encode(what.data).decode() if with_content else None,
        "target": None,
        "url": mine,
        "html_url": page,
        "git_url": blob,
        "download_url": f"{url}/{found.full_name}/raw/branch/{ref}/{what.path}" if kind == "file" else None,
        "submodule_git_url": None,
        "_links": {"self": mine, "git": blob, "html": page},
    }


_REVIEW_STATES = {"approved": "APPROVED", "commented": "COMMENT", "changes_requested": "REQUEST_CHANGES"}


def review(url: str, found: Repository, pull: Pull, what: Review) -> dict[str, Any]:
    page = f"{url}/{found.full_name}/pulls/{pull.number}"
    return {
        "id": what.id,
        "user": user(url, what.author),
        "team": None,
        "state": _REVIEW_STATES[what.state],
        "body": what.body,
        "commit_id": pull.head_commit,
        "stale": False,
        "official": True,
        "dismissed": False,
        "comments_count": 0,
        "submitted_at": stamp(what.created),
        "updated_at": stamp(what.created),
        "html_url": f"{page}#issuecomment-{what.id}",
        "pull_request_url": page,
    }
