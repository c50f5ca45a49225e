"""GitLab's JSON objects, with the names and types of its REST API's reference."""

from typing import Any
from urllib.parse import quote

from deploy.fake_forge import git
from deploy.fake_forge.accounts import stamp
from deploy.fake_forge.exchange import clone_url
from deploy.fake_forge.records import Comment, Happened, Issue, Pull, Remark, Repository, User

PREFIX = "/api/v4"


def state(what: Issue) -> str:
    if isinstance(what, Pull) and what.merged:
        return "merged"
    return "opened" if what.state == "open" else "closed"


def user(url: str, who: User) -> dict[str, Any]:
    return {
        "id": who.id,
        "username": who.login,
        "public_email": None,
        "name": who.name,
        "state": "active",
        "locked": False,
        "avatar_url": None,
        "web_url": f"{url}/{who.login}",
    }


def current_user(url: str, who: User) -> dict[str, Any]:
    more = {"created_at": stamp(who.created), "bio": "", "email": f"{who.login}@users.invalid", "is_admin": False}
    return user(url, who) | more | {"bot": who.is_bot, "two_factor_enabled": False, "external": False}


def project(url: str, found: Repository, owner: User, level: int) -> dict[str, Any]:
    page, api = f"{url}/{found.full_name}", f"{url}{PREFIX}/projects/{found.id}"
    return {
        "id": found.id,
        "description": found.description or None,
        "name": found.name,
        "name_with_namespace": f"{found.owner} / {found.name}",
        "path": found.name,
        "path_with_namespace": found.full_name,
        "created_at": stamp(found.created),
        "default_branch": found.default_branch,
        "tag_list": [],
        "topics": [],
        "ssh_url_to_repo": f"git@127.0.0.1:{found.full_name}.git",
        "http_url_to_repo": clone_url(url, found),
        "web_url": page,
        "readme_url": None,
        "forks_count": 0,
        "avatar_url": None,
        "star_count": 0,
        "last_activity_at": stamp(found.pushed or found.created),
        "visibility": "private" if found.private else "public",
        "namespace": {
            "id": owner.id,
            "name": found.owner,
            "path": found.owner,
            "kind": "group",
            "full_path": found.owner,
            "parent_id": None,
            "avatar_url": None,
            "web_url": f"{url}/groups/{found.owner}",
        },
        "_links": {
            "self": api,
            "issues": f"{api}/issues",
            "merge_requests": f"{api}/merge_requests",
            "repo_branches": f"{api}/repository/branches",
            "labels": f"{api}/labels",
            "members": f"{api}/members",
        },
        "empty_repo": False,
        "archived": False,
        "issues_enabled": True,
        "merge_requests_enabled": True,
        "open_issues_count": sum(issue.state == "open" for issue in found.issues),
        "permissions": {
            "project_access": {"access_level": level, "notification_level": 3} if level else None,
            "group_access": None,
        },
    }


def branch(url: str, found: Repository, name: str, commit: git.Commit, may_push: bool) -> dict[str, Any]:
    title = commit.message.partition("\n")[0]
    return {
        "name": name,
        "commit": {
            "id": commit.sha,
            "short_id": commit.sha[:8],
            "created_at": commit.date,
            "parent_ids": commit.parents,
            "title": title,
            "message": commit.message,
            "author_name": commit.author,
            "author_email": commit.email,
            "authored_date": commit.date,
            "committer_name": commit.author,
            "committer_email": commit.email,
            "committed_date": commit.date,
            "trailers": {},
            "extended_trailers": {},
            "web_url": f"{url}/{found.full_name}/-/commit/{commit.sha}",
        },
        "merged": False,
        "protected": False,
        "developers_can_push": False,
        "developers_can_merge": False,
        "can_push": may_push,
        "default": name == found.default_branch,
        "web_url": f"{url}/{found.full_name}/-/tree/{quote(name)}",
    }


def _noted(url: str, found: Repository, what: Issue) -> dict[str, Any]:
    kind, mark = ("merge_requests", "!") if isinstance(what, Pull) else ("issues", "#")
    reference = f"{mark}{what.iid}"
    return {
        "id": what.id,
        "iid": what.iid,
        "project_id": found.id,
        "title": what.title,
        "description": what.body,
        "state": state(what),
        "created_at": stamp(what.created),
        "updated_at": stamp(what.updated),
        "closed_at": None if isinstance(what, Pull) and what.merged else stamp(what.closed),
        "closed_by": None,
        "labels": what.labels,
        "milestone": None,
        "assignees": [user(url, who) for who in what.assignees],
        "assignee": user(url, what.assignees[0]) if what.assignees else None,
        "author": user(url, what.author),
        "user_notes_count": len(what.comments) + (len(what.remarks) if isinstance(what, Pull) else 0),
        "upvotes": 0,
        "downvotes": 0,
        "discussion_locked": None,
        "web_url": f"{url}/{found.full_name}/-/{kind}/{what.iid}",
        "references": {"short": reference, "relative": reference, "full": f"{found.full_name}{reference}"},
        "time_stats": {
            "time_estimate": 0,
            "total_time_spent": 0,
            "human_time_estimate": None,
            "human_total_time_spent": None,
        },
        "task_completion_status": {"count": 0, "completed_count": 0},
    }


def issue(url: str, found: Repository, what: Issue) -> dict[str, Any]:
    api = f"{url}{PREFIX}/projects/{found.id}/issues/{what.iid}"
    return _noted(url, found, what) | {
        "type": "ISSUE",
        "issue_type": "issue",
        "severity": "UNKNOWN",
        "confidential": False,
        "due_date": None,
        "has_tasks": False,
        "_links": {"self": api, "notes": f"{api}/notes", "project": f"{url}{PREFIX}/projects/{found.id}"},
    }


def merge_request(url: str, found: Repository, what: Pull) -> dict[str, Any]:
    who = user(url, what.merged_by) if what.merged_by else None
    status = "draft_status" if what.draft else "mergeable"
    return _noted(url, found, what) | {
        "title": f"Draft: {what.title}" if what.draft else what.title,
        "draft": what.draft,
        "work_in_progress": what.draft,
        "source_branch": what.head,
        "target_branch": what.base,
        "source_project_id": found.id,
        "target_project_id": found.id,
        "sha": what.head_commit,
        "diff_refs": {"base_sha": what.base_commit, "head_sha": what.head_commit, "start_sha": what.base_commit},
        "merge_status": "can_be_merged",
        "detailed_merge_status": status if what.state == "open" else "not_open",
        "has_conflicts": False,
        "blocking_discussions_resolved": True,
        "changes_count": str(what.changes.files),
        "merged_by": who,
        "merge_user": who,
        "merged_at": stamp(what.merged),
        "merge_commit_sha": what.merge_commit,
        "squash_commit_sha": None,
        "reviewers": [user(url, reviewer) for reviewer in what.reviewers],
        "merge_when_pipeline_succeeds": False,
        "should_remove_source_branch": None,
        "force_remove_source_branch": None,
        "squash": False,
        "reference": f"!{what.iid}",
        "pipeline": None,
        "head_pipeline": None,
        "user": {"can_merge": True},
    }


def note(url: str, found: Repository, of: Issue, what: Comment) -> dict[str, Any]:
    return {
        "id": what.id,
        "type": None,
        "body": what.body,
        "author": user(url, what.author),
        "created_at": stamp(what.created),
        "updated_at": stamp(what.updated),
        "system": False,
        "noteable_id": of.id,
        "noteable_type": "MergeRequest" if isinstance(of, Pull) else "Issue",
        "project_id": found.id,
        "resolvable": False,
        "confidential": False,
        "internal": False,
        "imported": False,
        "imported_from": "none",
        "noteable_iid": of.iid,
        "commands_changes": {},
    }


def discussion_of(thread: int) -> str:
    """GitLab's id of a thread, 40 hexadecimal digits."""
    return f"{thread:040x}"


def line_note(url: str, found: Repository, pull: Pull, what: Remark) -> dict[str, Any]:
    """A note on a line."""
    place = {"new_path": what.path, "old_path": what.path, "new_line": what.line, "old_line": None}
    shown = note(url, found, pull, what)
    return shown | {"type": "DiffNote", "resolvable": True, "resolved": False, "position": place}


def assigned(url: str, found: Repository, of: Issue, what: Happened) -> dict[str, Any]:
    """The note that GitLab itself writes when an issue is assigned."""
    said = Comment(what.id, what.actor, f"assigned to @{what.name}", what.at, what.at)
    return note(url, found, of, said) | {"system": True}


def label_event(url: str, found: Repository, of: Issue, what: Happened) -> dict[str, Any]:
    label = found.labels[what.name]
    return {
        "id": what.id,
        "user": user(url, what.actor),
        "created_at": stamp(what.at),
        "resource_type": "Issue",
        "resource_id": of.id,
        "label": {
            "id": label.id,
            "name": label.name,
            "color": f"#{label.color}",
            "description": None,
            "description_html": "",
            "text_color": "#FFFFFF",
            "archived": False,
        },
        "action": "add" if what.kind == "labeled" else "remove",
    }
