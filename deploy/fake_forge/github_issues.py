"""GitHub's endpoints of issues, comments and labels; pull requests share all of them."""

from deploy.fake_forge import github_shapes
from deploy.fake_forge.exchange import Call, Reply, changed_since, index, strings
from deploy.fake_forge.github import ROUTES, found_repository, invalid, link, paged, sorted_as_asked, text, writer
from deploy.fake_forge.records import Issue


@ROUTES("GET", "repos/{owner}/{repo}/issues")
def list_issues(call: Call, owner: str, repo: str) -> Reply:
    """With the pull requests, as GitHub does."""
    found = found_repository(call, owner, repo)
    state = call.query.get("state", "open")
    issues = [one for one in (*found.issues, *found.pulls) if state in ("all", one.state)]
    page = paged(call, sorted_as_asked(call, changed_since(call, issues, "since")))
    return Reply(200, [github_shapes.issue(call.url, found, item) for item in page.items], link(call, page))


@ROUTES("GET", "repos/{owner}/{repo}/issues/comments")
def list_all_comments(call: Call, owner: str, repo: str) -> Reply:
    found = found_repository(call, owner, repo)
    of = {comment.id: issue for issue in (*found.issues, *found.pulls) for comment in issue.comments}
    comments = [comment for issue in (*found.issues, *found.pulls) for comment in issue.comments]
    page = paged(call, sorted_as_asked(call, changed_since(call, comments, "since")))
    shown = [github_shapes.comment(call.url, found, of[item.id], item) for item in page.items]
    return Reply(200, shown, link(call, page))


@ROUTES("GET", "repos/{owner}/{repo}/issues/{number}/events")
def list_events(call: Call, owner: str, repo: str, number: str) -> Reply:
    found = found_repository(call, owner, repo)
    page = paged(call, call.state.issue(found, index(number)).history)
    users = call.state.users
    shown = [
        github_shapes.event(call.url, found, item, users[item.name] if item.kind == "assigned" else None)
        for item in page.items
    ]
    return Reply(200, shown, link(call, page))


@ROUTES("GET", "repos/{owner}/{repo}/issues/{number}")
def get_issue(call: Call, owner: str, repo: str, number: str) -> Reply:
    found = found_repository(call, owner, repo)
    return Reply(200, github_shapes.issue(call.url, found, call.state.issue(found, index(number))))


@ROUTES("GET", "repos/{owner}/{repo}/issues/{number}/comments")
def list_comments(call: Call, owner: str, repo: str, number: str) -> Reply:
    found = found_repository(call, owner, repo)
    issue = call.state.issue(found, index(number))
    page = paged(call, issue.comments)
    return Reply(200, [github_shapes.comment(call.url, found, issue, item) for item in page.items], link(call, page))


@ROUTES("POST", "repos/{owner}/{repo}/issues/{number}/comments")
def add_comment(call: Call, owner: str, repo: str, number: str) -> Reply:
    found, user = writer(call, owner, repo)
    issue: Issue = call.state.issue(found, index(number))
    body = text(call, "body", "IssueComment", needed=True) or ""
    made = github_shapes.comment(call.url, found, issue, call.state.add_comment(found, issue, user, body))
    return Reply(201, made, {"Location": made["url"]})


@ROUTES("PATCH", "repos/{owner}/{repo}/issues/comments/{number}")
def edit_comment(call: Call, owner: str, repo: str, number: str) -> Reply:
    found, user = writer(call, owner, repo)
    issue, _ = call.state.comment(found, index(number))
    body = text(call, "body", "IssueComment", needed=True)
    comment = call.state.edit_comment(found, index(number), user, body)
    return Reply(200, github_shapes.comment(call.url, found, issue, comment))


@ROUTES("DELETE", "repos/{owner}/{repo}/issues/comments/{number}")
def delete_comment(call: Call, owner: str, repo: str, number: str) -> Reply:
    found, user = writer(call, owner, repo)
    call.state.edit_comment(found, index(number), user, None)
    return Reply(204)


@ROUTES("POST", "repos/{owner}/{repo}/issues/{number}/labels")
def add_labels(call: Call, owner: str, repo: str, number: str) -> Reply:
    found, user = writer(call, owner, repo)
    issue = call.state.issue(found, index(number))
    call.state.add_labels(found, issue, user, strings(call.body.get("labels")))
    return Reply(200, [github_shapes.label(call.url, found, found.labels[name]) for name in issue.labels])


@ROUTES("GET", "repos/{owner}/{repo}/labels")
def list_labels(call: Call, owner: str, repo: str) -> Reply:
    found = found_repository(call, owner, repo)
    page = paged(call, list(found.labels.values()))
    return Reply(200, [github_shapes.label(call.url, found, item) for item in page.items], link(call, page))


@ROUTES("POST", "repos/{owner}/{repo}/labels")
def create_label(call: Call, owner: str, repo: str) -> Reply:
    found, user = writer(call, owner, repo)
    name = text(call, "name", "Label", needed=True) or ""
    if name in found.labels:
        raise invalid("Label", "already_exists", "name")
    color, about = text(call, "color", "Label"), text(call, "description", "Label")
    made = call.state.add_label(found, user, name, color or "ededed", about or "")
    return Reply(201, github_shapes.label(call.url, found, made))
