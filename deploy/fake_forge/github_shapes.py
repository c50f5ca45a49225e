"""GitHub's JSON objects, with the names and types of its OpenAPI description (GitHub Enterprise Server's addresses)."""

import base64
from typing import Any

from deploy.fake_forge import git
from deploy.fake_forge.accounts import stamp
from deploy.fake_forge.exchange import clone_url
from deploy.fake_forge.records import CheckRun, Comment, Happened, Issue, Label, Pull, Repository, User

PREFIX = "/api/v3"
_REPOSITORY_URLS = (
    *("archive", "assignees", "blobs", "branches", "collaborators", "comments"),
    *("commits", "compare", "contents", "contributors", "deployments", "downloads"),
    *("events", "forks", "git_commits", "git_refs", "git_tags", "hooks"),
    *("issue_comment", "issue_events", "issues", "keys", "labels", "languages"),
    *("merges", "milestones", "notifications", "pulls", "releases", "stargazers"),
    *("statuses", "subscribers", "subscription", "tags", "teams", "trees"),
)
_USER_URLS = (
    *("followers", "following", "gists", "starred", "subscriptions"),
    *("organizations", "repos", "events", "received_events"),
)
_COUNTS = (
    *("forks_count", "forks", "stargazers_count", "watchers_count", "watchers"),
    *("size", "subscribers_count", "network_count"),
)


def node(kind: str, number: int) -> str:
    return base64.b64encode(f"{kind}:{number}".encode()).decode()


def user(url: str, who: User) -> dict[str, Any]:
    api = f"{url}{PREFIX}/users/{who.login}"
    return {
        "login": who.login,
        "id": who.id,
        "node_id": node("User", who.id),
        "avatar_url": f"{url}/avatars/u/{who.id}",
        "gravatar_id": "",
        "url": api,
        "html_url": f"{url}/{who.login}",
        **{f"{name}_url": f"{api}/{name}" for name in _USER_URLS},
        "type": "Bot" if who.is_bot else "User",
        "site_admin": False,
    }


def full_user(url: str, who: User) -> dict[str, Any]:
    empty = dict.fromkeys(("company", "blog", "location", "email", "hireable", "bio", "twitter_username"))
    counts = dict.fromkeys(("public_repos", "public_gists", "followers", "following"), 0)
    dates = {"created_at": stamp(who.created), "updated_at": stamp(who.created)}
    return user(url, who) | empty | counts | {"name": who.name} | dates


def repository(url: str, found: Repository, owner: User, permission: str) -> dict[str, Any]:
    api = f"{url}{PREFIX}/repos/{found.full_name}"
    page, clone = f"{url}/{found.full_name}", clone_url(url, found)
    count = sum(issue.state == "open" for issue in (*found.issues, *found.pulls))
    return {
        "id": found.id,
        "node_id": node("Repository", found.id),
        "name": found.name,
        "full_name": found.full_name,
        "private": found.private,
        "owner": user(url, owner),
        "html_url": page,
        "description": found.description or None,
        "fork": False,
        "url": api,
        **{f"{name}_url": f"{api}/{name.removeprefix('git_')}" for name in _REPOSITORY_URLS},
        "git_url": clone.replace("http:", "git:", 1),
        "ssh_url": f"git@127.0.0.1:{found.full_name}.git",
        "clone_url": clone,
        "svn_url": page,
        "mirror_url": None,
        "homepage": None,
        "language": None,
        "license": None,
        **dict.fromkeys(_COUNTS, 0),
        "default_branch": found.default_branch,
        "open_issues_count": count,
        "open_issues": count,
        "is_template": False,
        "topics": [],
        **dict.fromkeys(("has_issues", "has_projects", "has_wiki", "has_downloads", "allow_forking"), True),
        **dict.fromkeys(("has_pages", "has_discussions", "archived", "disabled"), False),
        "visibility": "private" if found.private else "public",
        "pushed_at": stamp(found.pushed or found.created),
        "created_at": stamp(found.created),
        "updated_at": stamp(found.pushed or found.created),
        "permissions": {
            "admin": permission == "admin",
            "maintain": permission == "admin",
            "push": permission in ("write", "admin"),
            "triage": permission in ("write", "admin"),
            "pull": permission != "none",
        },
    }


def label(url: str, found: Repository, what: Label) -> dict[str, Any]:
    return {
        "id": what.id,
        "node_id": node("Label", what.id),
        "url": f"{url}{PREFIX}/repos/{found.full_name}/labels/{what.name}",
        "name": what.name,
        "description": what.description or None,
        "color": what.color,
        "default": False,
        "archived_at": None,
        "archived_by": None,
    }


def _ticket(url: str, found: Repository, what: Issue) -> dict[str, Any]:
    return {
        "id": what.id,
        "number": what.number,
        "state": what.state,
        "locked": False,
        "title": what.title,
        "user": user(url, what.author),
        "body": what.body or None,
        "labels": [label(url, found, found.labels[name]) for name in what.labels],
        "milestone": None,
        "assignee": user(url, what.assignees[0]) if what.assignees else None,
        "assignees": [user(url, who) for who in what.assignees],
        "active_lock_reason": None,
        "comments": len(what.comments),
        "created_at": stamp(what.created),
        "updated_at": stamp(what.updated),
        "closed_at": stamp(what.closed),
        "author_association": "COLLABORATOR" if what.author.login in found.permissions else "NONE",
    }


def issue(url: str, found: Repository, what: Issue) -> dict[str, Any]:
    """An issue, or a pull request as the issues API shows it."""
    api = f"{url}{PREFIX}/repos/{found.full_name}"
    mine = f"{api}/issues/{what.number}"
    shown = _ticket(url, found, what) | {
        "node_id": node("Issue", what.id),
        "url": mine,
        "repository_url": api,
        "labels_url": f"{mine}/labels{{/name}}",
        "comments_url": f"{mine}/comments",
        "events_url": f"{mine}/events",
        "html_url": f"{url}/{found.full_name}/issues/{what.number}",
        "state_reason": None if what.state == "open" else "completed",
        "closed_by": None,
    }
    if isinstance(what, Pull):
        page = f"{url}/{found.full_name}/pull/{what.number}"
        shown["html_url"] = page
        shown["draft"] = what.draft
        shown["pull_request"] = {
            "url": f"{api}/pulls/{what.number}",
            "html_url": page,
            "diff_url": f"{page}.diff",
            "patch_url": f"{page}.patch",
            "merged_at": stamp(what.merged),
        }
    return shown


def pull(url: str, found: Repository, owner: User, what: Pull, *, full: bool = True) -> dict[str, Any]:
    """A pull request; without `full` as lists show it."""
    api = f"{url}{PREFIX}/repos/{found.full_name}"
    mine, as_issue = f"{api}/pulls/{what.number}", f"{api}/issues/{what.number}"
    page = f"{url}/{found.full_name}/pull/{what.number}"
    shown_repository = repository(url, found, owner, "read")
    links = {
        "self": mine,
        "html": page,
        "issue": as_issue,
        "comments": f"{as_issue}/comments",
        "review_comments": f"{mine}/comments",
        "review_comment": f"{api}/pulls/comments{{/number}}",
        "commits": f"{mine}/commits",
        "statuses": f"{api}/statuses/{what.head_commit}",
    }

    def side(branch: str, sha: str) -> dict[str, Any]:
        label = f"{found.owner}:{branch}"
        return {"label": label, "ref": branch, "sha": sha, "user": user(url, owner), "repo": shown_repository}

    shown = _ticket(url, found, what)
    comments = shown.pop("comments")
    shown |= {
        "node_id": node("PullRequest", what.id),
        "url": mine,
        "html_url": page,
        "diff_url": f"{page}.diff",
        "patch_url": f"{page}.patch",
        "issue_url": as_issue,
        **{f"{name}_url": links[name] for name in ("commits", "review_comments", "review_comment", "comments")},
        "statuses_url": links["statuses"],
        "merged_at": stamp(what.merged),
        "merge_commit_sha": what.merge_commit,
        "requested_reviewers": [user(url, who) for who in what.reviewers],
        "requested_teams": [],
        "head": side(what.head, what.head_commit),
        "base": side(what.base, what.base_commit),
        "_links": {name: {"href": link} for name, link in links.items()},
        "auto_merge": None,
        "draft": what.draft,
    }
    if full:
        shown |= {
            "merged": what.merged is not None,
            "mergeable": None if what.merged else True,
            "rebaseable": None,
            "mergeable_state": "draft" if what.draft else "clean",
            "merged_by": user(url, what.merged_by) if what.merged_by else None,
            "comments": comments,
            "review_comments": 0,
            "maintainer_can_modify": False,
            "commits": what.changes.commits,
            "additions": what.changes.additions,
            "deletions": what.changes.deletions,
            "changed_files": what.changes.files,
        }
    return shown


def comment(url: str, found: Repository, of: Issue, what: Comment) -> dict[str, Any]:
    api = f"{url}{PREFIX}/repos/{found.full_name}"
    kind = "pull" if isinstance(of, Pull) else "issues"
    return {
        "id": what.id,
        "node_id": node("IssueComment", what.id),
        "url": f"{api}/issues/comments/{what.id}",
        "html_url": f"{url}/{found.full_name}/{kind}/{of.number}#issuecomment-{what.id}",
        "issue_url": f"{api}/issues/{of.number}",
        "user": user(url, what.author),
        "body": what.body,
        "created_at": stamp(what.created),
        "updated_at": stamp(what.updated),
        "author_association": "COLLABORATOR" if what.author.login in found.permissions else "NONE",
        "performed_via_github_app": None,
    }


def event(url: str, found: Repository, what: Happened, who: User | None) -> dict[str, Any]:
    """An entry of an issue's history; `who` is whom it was assigned to."""
    shown = {
        "id": what.id,
        "node_id": node("LabeledEvent", what.id),
        "url": f"{url}{PREFIX}/repos/{found.full_name}/issues/events/{what.id}",
        "actor": user(url, what.actor),
        "event": what.kind,
        "commit_id": None,
        "commit_url": None,
        "created_at": stamp(what.at),
        "performed_via_github_app": None,
    }
    if who:
        return shown | {"assignee": user(url, who), "assigner": user(url, what.actor)}
    return shown | {"label": {"name": what.name, "color": found.labels[what.name].color}}


def branch(url: str, found: Repository, name: str, commit: git.Commit) -> dict[str, Any]:
    api, page = f"{url}{PREFIX}/repos/{found.full_name}", f"{url}/{found.full_name}"
    mine = f"{api}/branches/{name}"
    who = {"name": commit.author, "email": commit.email, "date": commit.date}
    return {
        "name": name,
        "commit": {
            "sha": commit.sha,
            "node_id": node("Commit", found.id),
            "url": f"{api}/commits/{commit.sha}",
            "html_url": f"{page}/commit/{commit.sha}",
            "comments_url": f"{api}/commits/{commit.sha}/comments",
            "commit": {
                "url": f"{api}/git/commits/{commit.sha}",
                "author": who,
                "committer": who,
                "message": commit.message,
                "comment_count": 0,
                "tree": {"sha": commit.tree, "url": f"{api}/git/trees/{commit.tree}"},
                "verification": {
                    **dict.fromkeys(("signature", "payload", "verified_at")),
                    "verified": False,
                    "reason": "unsigned",
                },
            },
            "author": None,
            "committer": None,
            "parents": [
                {"sha": sha, "url": f"{api}/commits/{sha}", "html_url": f"{page}/commit/{sha}"}
                for sha in commit.parents
            ],
        },
        "_links": {"self": mine, "html": f"{page}/tree/{name}"},
        "protected": False,
        "protection": {
            "enabled": False,
            "required_status_checks": {"enforcement_level": "off", "contexts": [], "checks": []},
        },
        "protection_url": f"{mine}/protection",
    }


def check_run(url: str, found: Repository, what: CheckRun, app: dict[str, Any]) -> dict[str, Any]:
    api = f"{url}{PREFIX}/repos/{found.full_name}/check-runs/{what.id}"
    output = {name: what.output.get(name) for name in ("title", "summary", "text")}
    return {
        "id": what.id,
        "node_id": node("CheckRun", what.id),
        "name": what.name,
        "head_sha": what.head_commit,
        "external_id": what.external_id,
        "url": api,
        "html_url": f"{url}/{found.full_name}/runs/{what.id}",
        "details_url": what.details_url or f"{url}/{found.full_name}/runs/{what.id}",
        "status": what.status,
        "conclusion": what.conclusion,
        "started_at": stamp(what.created),
        "completed_at": stamp(what.completed),
        "output": {
            **output,
            "annotations_count": len(what.output.get("annotations") or []),
            "annotations_url": f"{api}/annotations",
        },
        "check_suite": {"id": what.id},
        "app": app,
        "pull_requests": [],
    }


def entry(url: str, found: Repository, what: git.Entry, ref: str) -> dict[str, Any]:
    """A file or folder, without its content."""
    kind = {"blob": "file", "tree": "dir"}.get(what.kind, "submodule")
    mine = f"{url}{PREFIX}/repos/{found.full_name}/contents/{what.path}?ref={ref}"
    blob = f"{url}{PREFIX}/repos/{found.full_name}/git/{'trees' if kind == 'dir' else 'blobs'}/{what.sha}"
    page = f"{url}/{found.full_name}/{'tree' if kind == 'dir' else 'blob'}/{ref}/{what.path}"
    raw = f"{url}/raw/{found.full_name}/{ref}/{what.path}" if kind == "file" else None
    return {
        "type": kind,
        "name": what.path.rpartition("/")[2],
        "path": what.path,
        "sha": what.sha,
        "size": what.size,
        "url": mine,
        "html_url": page,
        "git_url": blob,
        "download_url": raw,
        "_links": {"self": mine, "git": blob, "html": page},
    }
