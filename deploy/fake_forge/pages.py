"""The addresses that a person would open: a page of plain text about an issue or a pull request."""

import re

from deploy.fake_forge.accounts import stamp
from deploy.fake_forge.exchange import Reply
from deploy.fake_forge.gitlab_shapes import state as gitlab_state
from deploy.fake_forge.records import Issue, Pull, Repository
from deploy.fake_forge.state import State

NAME = "page"
_PLACE = re.compile(
    r"/(?P<repository>[^/]+/[^/]+)/(?P<kind>pull|pulls|issues|pull-requests|-/merge_requests|-/issues)/(?P<number>[0-9]{1,9})/?"
)


def answer(state: State, path: str) -> Reply:
    """404 for anything else, and for private repositories, since a page needs no credential."""
    found = _PLACE.fullmatch(path)
    repository = state.repositories.get(found["repository"]) if found else None
    if found and repository and not repository.private:
        number, by_iid = int(found["number"]), found["kind"].startswith(("-", "pull-"))
        is_pull = found["kind"] in ("pull", "pulls", "pull-requests", "-/merge_requests")
        for issue in list(repository.pulls) if is_pull else list(repository.issues):
            if (issue.iid if by_iid else issue.number) == number:
                return _text(200, page(repository, issue))
    return _text(404, "not found\n")


def _text(status: int, content: str) -> Reply:
    return Reply(status, content.encode(), {"Content-Type": "text/plain; charset=utf-8"})


def page(repository: Repository, issue: Issue) -> str:
    lines = [f"{repository.full_name}#{issue.number}: {issue.title}", f"{gitlab_state(issue)} by {issue.author.login}"]
    if isinstance(issue, Pull):
        lines[1] += ", a draft" if issue.draft else ""
        lines.append(f"{issue.head} ({issue.head_commit[:12]}) into {issue.base}")
        if issue.reviewers:
            lines.append(f"review requested from {', '.join(who.login for who in issue.reviewers)}")
    if issue.labels:
        lines.append(f"labels: {', '.join(issue.labels)}")
    lines += ["", issue.body]
    for comment in list(issue.comments):
        lines += ["", f"---- {comment.author.login}, {stamp(comment.created)}", "", comment.body]
    return "\n".join(lines) + "\n"
