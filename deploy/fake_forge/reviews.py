"""Reviews: GitHub's comments on lines and whole reviews, and GitLab's discussions. Gitea's API has no threads."""

from typing import Any

from deploy.fake_forge import github, github_shapes, gitlab, gitlab_shapes
from deploy.fake_forge.accounts import stamp
from deploy.fake_forge.exchange import Call, Reply, index
from deploy.fake_forge.gitlab_shapes import discussion_of, line_note
from deploy.fake_forge.records import NotFound, Pull, Remark, Repository, Review


def comment(url: str, found: Repository, pull: Pull, what: Remark) -> dict[str, Any]:
    """A comment on a line, as GitHub shows it."""
    shown = github_shapes.comment(url, found, pull, what)
    api = f"{url}{github_shapes.PREFIX}/repos/{found.full_name}/pulls"
    shown |= {
        "node_id": github_shapes.node("PullRequestReviewComment", what.id),
        "url": f"{api}/comments/{what.id}",
        "html_url": f"{url}/{found.full_name}/pull/{pull.number}#discussion_r{what.id}",
        "pull_request_url": f"{api}/{pull.number}",
        "pull_request_review_id": what.thread,
        "path": what.path,
        "line": what.line,
        "original_line": what.line,
        "side": "RIGHT",
        "commit_id": pull.head_commit,
        "original_commit_id": pull.head_commit,
        "diff_hunk": "@@ -1 +1 @@",
    }
    del shown["issue_url"], shown["performed_via_github_app"]
    return shown | ({"in_reply_to_id": what.thread} if what.thread != what.id else {})


def review(url: str, found: Repository, pull: Pull, what: Review) -> dict[str, Any]:
    """A whole review, as GitHub's webhooks show it; its API writes the state in capitals."""
    return {
        "id": what.id,
        "node_id": github_shapes.node("PullRequestReview", what.id),
        "user": github_shapes.user(url, what.author),
        "body": what.body or None,
        "commit_id": pull.head_commit,
        "submitted_at": stamp(what.created),
        "state": what.state,
        "html_url": f"{url}/{found.full_name}/pull/{pull.number}#pullrequestreview-{what.id}",
        "author_association": "COLLABORATOR" if what.author.login in found.permissions else "NONE",
    }


@github.ROUTES("GET", "repos/{owner}/{repo}/pulls/{number}/comments")
def list_comments(call: Call, owner: str, repo: str, number: str) -> Reply:
    found = github.found_repository(call, owner, repo)
    pull = call.state.pull(found, index(number))
    page = github.paged(call, pull.remarks)
    return Reply(200, [comment(call.url, found, pull, item) for item in page.items], github.link(call, page))


@github.ROUTES("GET", "repos/{owner}/{repo}/pulls/{number}/reviews")
def list_reviews(call: Call, owner: str, repo: str, number: str) -> Reply:
    found = github.found_repository(call, owner, repo)
    pull = call.state.pull(found, index(number))
    page = github.paged(call, pull.reviews)
    shown = [review(call.url, found, pull, item) for item in page.items]
    return Reply(200, [one | {"state": one["state"].upper()} for one in shown], github.link(call, page))


@github.ROUTES("POST", "repos/{owner}/{repo}/pulls/{number}/comments/{first}/replies")
def reply(call: Call, owner: str, repo: str, number: str, first: str) -> Reply:
    found, user = github.writer(call, owner, repo)
    pull = call.state.pull(found, index(number))
    said = github.text(call, "body", "PullRequestReviewComment", needed=True) or ""
    made = call.state.add_remark(found, pull, user, said, thread=index(first))
    return Reply(201, comment(call.url, found, pull, made))


def _merge_request(found: Repository, iid: str) -> Pull:
    for pull in found.pulls:
        if pull.iid == index(iid):
            return pull
    raise NotFound(iid)


@gitlab.ROUTES("GET", "projects/{project}/merge_requests/{iid}/discussions")
def list_discussions(call: Call, project: str, iid: str) -> Reply:
    """Each comment that is in no thread is a discussion of its own."""
    found = gitlab.found_project(call, project)
    pull = _merge_request(found, iid)
    threads: dict[int, list[dict[str, Any]]] = {}
    for item in pull.remarks:
        threads.setdefault(item.thread, []).append(line_note(call.url, found, pull, item))
    shown = [{"id": discussion_of(key), "individual_note": False, "notes": notes} for key, notes in threads.items()]
    for said in pull.comments:
        notes = [gitlab_shapes.note(call.url, found, pull, said)]
        shown.append({"id": discussion_of(said.id), "individual_note": True, "notes": notes})
    return gitlab.listed(call, shown, lambda one: one)


@gitlab.ROUTES("GET", "projects/{project}/merge_requests/{iid}/discussions/{thread}")
def get_discussion(call: Call, project: str, iid: str, thread: str) -> Reply:
    found = gitlab.found_project(call, project)
    pull = _merge_request(found, iid)
    notes = [line_note(call.url, found, pull, item) for item in pull.remarks if discussion_of(item.thread) == thread]
    if not notes:
        raise NotFound(thread)
    return Reply(200, {"id": thread, "individual_note": False, "notes": notes})


@gitlab.ROUTES("POST", "projects/{project}/merge_requests/{iid}/discussions/{thread}/notes")
def add_note(call: Call, project: str, iid: str, thread: str) -> Reply:
    found, user = gitlab.writer(call, project)
    pull = _merge_request(found, iid)
    first = next((item for item in pull.remarks if discussion_of(item.thread) == thread), None)
    if first is None:
        raise NotFound(thread)
    said = gitlab.text(call, "body", needed=True) or ""
    made = call.state.add_remark(found, pull, user, said, thread=first.thread)
    return Reply(201, line_note(call.url, found, pull, made))
