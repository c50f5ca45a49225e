"""The dialect of Gitea's REST API, below `/api/v1`, as Gitea 1.26 answers it; https://docs.gitea.com/api/.

A pull request's draft is the prefix `WIP: ` of its title. Comments come all at once, whatever page is asked for. A
token with `read` permission is treated as one without the scope to write.
"""

from typing import Any

from deploy.fake_forge import git, gitea_shapes
from deploy.fake_forge.exchange import (
    BadBody,
    Call,
    Refused,
    Reply,
    Routes,
    UnknownEndpoint,
    changed_since,
    index,
    owned,
    page_of,
    split_draft,
    strings,
)
from deploy.fake_forge.records import (
    AlreadyExists,
    ForgeError,
    Happened,
    Invalid,
    NoSuchBranch,
    NotFound,
    Pull,
    Repository,
    User,
)

NAME = "gitea"
PREFIX = gitea_shapes.PREFIX
ROUTES = Routes()
_DRAFTS = ("wip:", "[wip]")


def credential(headers: dict[str, str]) -> str:
    scheme, _, secret = headers.get("authorization", "").partition(" ")
    return secret.strip() if scheme.lower() in ("token", "bearer") else ""


def problem(status: int, message: str, **more: Any) -> Reply:
    return Reply(status, {**more, "message": message, "url": "/api/swagger"})


def unknown() -> Reply:
    """Gitea itself answers an unknown address with a line of text."""
    return Reply(404, {"errors": None, "message": "not found"})


def answer(call: Call) -> Reply:
    if call.secret and not call.token:
        reply = problem(401, "invalid username, password or token")
    else:
        try:
            reply = ROUTES.answer(call)
        except Refused as refused:
            reply = refused.reply
        except ForgeError as error:
            reply = _refusal(call, error)
    if isinstance(reply.body, dict) and reply.body.get("url") == "/api/swagger":
        reply.body["url"] = f"{call.url}/api/swagger"
    return reply


def _refusal(call: Call, error: ForgeError) -> Reply:
    if isinstance(error, NotFound | NoSuchBranch):
        return problem(404, "not found", errors=None)
    if isinstance(error, AlreadyExists):
        owner, repo = call.path.strip("/").split("/")[1:3]
        number, pull = call.state.repository(f"{owner}/{repo}").id, error.pull
        message = (
            f"pull request already exists for these targets [id: {pull.id}, issue_id: {pull.number}, head_repo_id: "
            f"{number}, base_repo_id: {number}, head_branch: {pull.head}, base_branch: {pull.base}]"
        )
        return problem(409, message)
    if isinstance(error, BadBody):
        return problem(422, f"[]: {error}")
    merged = isinstance(error, Invalid) and "was merged" in error.message
    return problem(412 if merged else 422, str(error))


def found_repository(call: Call, owner: str, repo: str, need: str = "read") -> Repository:
    found = call.state.repository(f"{owner}/{repo}")
    if not call.state.may(found, call.user, "read"):
        raise NotFound(found.full_name)
    if not call.state.may(found, call.user, need):
        if call.user is None:
            raise Refused(problem(401, "token is required"))
        scope = "[write:issue]" if "/issues/" in call.path else "[write:repository]"
        raise Refused(problem(403, f"token does not have at least one of required scope(s): {scope}"))
    return found


def _writer(call: Call, owner: str, repo: str) -> tuple[Repository, User]:
    found = found_repository(call, owner, repo, "write")
    if call.user is None:
        raise Refused(problem(401, "token is required"))
    return found, call.user


def _text(call: Call, name: str, *, needed: bool = False) -> str | None:
    value = call.body.get(name)
    if needed and value in (None, ""):
        raise Refused(problem(422, f"[{name.capitalize()}]: Required"))
    if value is not None and not isinstance(value, str):
        raise Refused(problem(422, f"[]: json: cannot unmarshal {name} into Go value of type string"))
    return value


def listed(call: Call, items: list[Any], shape: Any) -> Reply:
    page = page_of(call, items, "limit", 30, 50)
    headers = {"X-Total-Count": str(page.total)} | page.link(f"{call.url}{PREFIX}", call, "limit")
    return Reply(200, [shape(item) for item in page.items], headers)


def _shown(call: Call, found: Repository, pull: Pull, status: int = 200) -> Reply:
    return Reply(status, gitea_shapes.pull(call.url, found, call.state.add_user(found.owner), pull))


@ROUTES("GET", "user")
def current_user(call: Call) -> Reply:
    if call.user is None:
        return problem(401, "token is required")
    return Reply(200, gitea_shapes.user(call.url, call.user))


@ROUTES("GET", "repos/{owner}/{repo}")
def get_repository(call: Call, owner: str, repo: str) -> Reply:
    found = found_repository(call, owner, repo)
    permission = call.state.permission(found, call.user)
    return Reply(200, gitea_shapes.repository(call.url, found, call.state.add_user(found.owner), permission))


@ROUTES("GET", "orgs/{owner}/repos")
def list_repositories(call: Call, owner: str) -> Reply:
    """Every owner of a repository is an organisation here."""
    found = owned(call, owner)
    if not found:
        raise NotFound(owner)
    by = call.state.add_user(owner)
    return listed(call, found, lambda one: gitea_shapes.repository(call.url, one, by, "read"))


@ROUTES("GET", "repos/{owner}/{repo}/branches/{branch...}")
def get_branch(call: Call, owner: str, repo: str, branch: str) -> Reply:
    found = found_repository(call, owner, repo)
    commit = git.branch(found.path, branch)
    if commit is None:
        raise NotFound(branch)
    may_push = call.state.may(found, call.user, "write")
    return Reply(200, gitea_shapes.branch(call.url, found, branch, git.commit(found.path, commit), may_push))


@ROUTES("GET", "repos/{owner}/{repo}/pulls")
def list_pulls(call: Call, owner: str, repo: str) -> Reply:
    found = found_repository(call, owner, repo)
    state = call.query.get("state", "open")
    pulls = [pull for pull in found.pulls if state in ("all", pull.state)][::-1]
    if call.query.get("sort") == "recentupdate":
        pulls.sort(key=lambda pull: pull.updated, reverse=True)
    by = call.state.add_user(found.owner)
    return listed(call, pulls, lambda pull: gitea_shapes.pull(call.url, found, by, pull, full=False))


@ROUTES("POST", "repos/{owner}/{repo}/pulls")
def create_pull(call: Call, owner: str, repo: str) -> Reply:
    found, user = _writer(call, owner, repo)
    head, base = (_text(call, name, needed=True) or "" for name in ("head", "base"))
    title, draft = split_draft(_text(call, "title", needed=True) or "", _DRAFTS)
    head_owner, colon, branch = head.partition(":")
    if colon and head_owner != owner:
        raise NotFound(head)  # there are no forks here
    head = branch if colon else head
    if head == base:
        return problem(422, "Invalid PullRequest: There are no changes between the head and the base")
    body = _text(call, "body") or ""
    with call.state.lock:
        pull = call.state.add_pull(found, user, head=head, base=base, title=title, body=body, draft=draft)
        call.state.add_labels(found, pull, user, _label_names(found, call.body.get("labels")))
    return _shown(call, found, pull, 201)


@ROUTES("GET", "repos/{owner}/{repo}/pulls/{number}")
def get_pull(call: Call, owner: str, repo: str, number: str) -> Reply:
    found = found_repository(call, owner, repo)
    return _shown(call, found, call.state.pull(found, index(number)))


@ROUTES("PATCH", "repos/{owner}/{repo}/pulls/{number}")
def edit_pull(call: Call, owner: str, repo: str, number: str) -> Reply:
    found, user = _writer(call, owner, repo)
    pull = call.state.pull(found, index(number))
    title, draft = _text(call, "title") or None, None
    if title is not None:
        title, draft = split_draft(title, _DRAFTS)
    state, base = _text(call, "state") or None, _text(call, "base") or None
    call.state.edit(
        found,
        pull,
        user,
        title=title,
        draft=draft,
        body=_text(call, "body"),
        state=state,
        base=base,
        unique=base is not None,
    )
    if call.body.get("labels") is not None:
        call.state.add_labels(found, pull, user, _label_names(found, call.body["labels"]), replace=True)
    return _shown(call, found, pull, 201)  # 201, as Gitea does


@ROUTES("GET", "repos/{owner}/{repo}/pulls/{number}/reviews")
def list_reviews(call: Call, owner: str, repo: str, number: str) -> Reply:
    found = found_repository(call, owner, repo)
    pull = call.state.pull(found, index(number))
    return listed(call, pull.reviews, lambda item: gitea_shapes.review(call.url, found, pull, item))


@ROUTES("GET", "repos/{owner}/{repo}/pulls/{base}/{head...}")
def get_pull_of_branches(call: Call, owner: str, repo: str, base: str, head: str) -> Reply:
    if base.isdigit():
        raise UnknownEndpoint(call.path)  # pulls/1/files and the like
    found = found_repository(call, owner, repo)
    wanted = (head.removeprefix(f"{owner}:"), base)
    for pull in reversed(found.pulls):
        if (pull.head, pull.base) == wanted:
            return _shown(call, found, pull)
    raise NotFound(head)


@ROUTES("POST", "repos/{owner}/{repo}/pulls/{number}/requested_reviewers")
def request_reviewers(call: Call, owner: str, repo: str, number: str) -> Reply:
    found, user = _writer(call, owner, repo)
    pull = call.state.pull(found, index(number))
    call.state.request_reviews(found, pull, user, strings(call.body.get("reviewers")))
    reviews = [
        {"id": who.id, "user": gitea_shapes.user(call.url, who), "team": None, "state": "REQUEST_REVIEW", "body": ""}
        for who in pull.reviewers
    ]
    return Reply(201, reviews)


@ROUTES("GET", "repos/{owner}/{repo}/issues")
def list_issues(call: Call, owner: str, repo: str) -> Reply:
    """With the pull requests, as Gitea does; the newest first."""
    found = found_repository(call, owner, repo)
    state = call.query.get("state", "open")
    issues = [one for one in (*found.issues, *found.pulls) if state in ("all", one.state)]
    issues = sorted(changed_since(call, issues, "since"), key=lambda one: -one.number)
    return listed(call, issues, lambda issue: gitea_shapes.issue(call.url, found, issue))


@ROUTES("GET", "repos/{owner}/{repo}/issues/comments")
def list_all_comments(call: Call, owner: str, repo: str) -> Reply:
    found = found_repository(call, owner, repo)
    of = {comment.id: issue for issue in (*found.issues, *found.pulls) for comment in issue.comments}
    comments = [comment for issue in (*found.issues, *found.pulls) for comment in issue.comments]
    comments = sorted(changed_since(call, comments, "since"), key=lambda one: one.id)
    return listed(call, comments, lambda one: gitea_shapes.comment(call.url, found, of[one.id], one))


@ROUTES("GET", "repos/{owner}/{repo}/issues/{number}/timeline")
def list_timeline(call: Call, owner: str, repo: str, number: str) -> Reply:
    """Without the comments."""
    found = found_repository(call, owner, repo)
    issue, users = call.state.issue(found, index(number)), call.state.users

    def shown(one: Happened) -> dict[str, Any]:
        who = users[one.name] if one.kind == "assigned" else None
        return gitea_shapes.happened(call.url, found, issue, one, who)

    return listed(call, issue.history, shown)


@ROUTES("GET", "repos/{owner}/{repo}/issues/{number}")
def get_issue(call: Call, owner: str, repo: str, number: str) -> Reply:
    found = found_repository(call, owner, repo)
    return Reply(200, gitea_shapes.issue(call.url, found, call.state.issue(found, index(number))))


@ROUTES("GET", "repos/{owner}/{repo}/issues/{number}/comments")
def list_comments(call: Call, owner: str, repo: str, number: str) -> Reply:
    found = found_repository(call, owner, repo)
    issue = call.state.issue(found, index(number))
    shown = [gitea_shapes.comment(call.url, found, issue, item) for item in issue.comments]
    return Reply(200, shown, {"X-Total-Count": str(len(shown))})


@ROUTES("POST", "repos/{owner}/{repo}/issues/{number}/comments")
def add_comment(call: Call, owner: str, repo: str, number: str) -> Reply:
    found, user = _writer(call, owner, repo)
    issue = call.state.issue(found, index(number))
    made = call.state.add_comment(found, issue, user, _text(call, "body", needed=True) or "")
    return Reply(201, gitea_shapes.comment(call.url, found, issue, made))


@ROUTES("PATCH", "repos/{owner}/{repo}/issues/comments/{number}")
@ROUTES("DELETE", "repos/{owner}/{repo}/issues/comments/{number}")
def change_comment(call: Call, owner: str, repo: str, number: str) -> Reply:
    found, user = _writer(call, owner, repo)
    issue, _ = call.state.comment(found, index(number))
    body = _text(call, "body", needed=True) if call.method == "PATCH" else None
    changed = call.state.edit_comment(found, index(number), user, body)
    return Reply(204) if body is None else Reply(200, gitea_shapes.comment(call.url, found, issue, changed))


def _label_names(found: Repository, wanted: object) -> list[str]:
    """The labels that these ids or names mean; Gitea ignores those that do not exist."""
    chosen = [str(item) for item in wanted] if isinstance(wanted, list) else []
    return [label.name for label in found.labels.values() if label.name in chosen or str(label.id) in chosen]


@ROUTES("POST", "repos/{owner}/{repo}/issues/{number}/labels")
def add_labels(call: Call, owner: str, repo: str, number: str) -> Reply:
    found, user = _writer(call, owner, repo)
    issue = call.state.issue(found, index(number))
    call.state.add_labels(found, issue, user, _label_names(found, call.body.get("labels")))
    return Reply(200, [gitea_shapes.label(call.url, found, found.labels[name]) for name in issue.labels])


@ROUTES("GET", "repos/{owner}/{repo}/labels")
def list_labels(call: Call, owner: str, repo: str) -> Reply:
    found = found_repository(call, owner, repo)
    return listed(call, list(found.labels.values()), lambda label: gitea_shapes.label(call.url, found, label))


@ROUTES("POST", "repos/{owner}/{repo}/labels")
def create_label(call: Call, owner: str, repo: str) -> Reply:
    found, user = _writer(call, owner, repo)
    name, color = (_text(call, field, needed=True) or "" for field in ("name", "color"))
    made = call.state.add_label(found, user, name, color, _text(call, "description") or "")
    return Reply(201, gitea_shapes.label(call.url, found, made))


@ROUTES("GET", "repos/{owner}/{repo}/contents")
@ROUTES("GET", "repos/{owner}/{repo}/contents/{path...}")
def get_contents(call: Call, owner: str, repo: str, path: str = "") -> Reply:
    found = found_repository(call, owner, repo)
    ref = call.query.get("ref") or found.default_branch
    try:
        file, entries = git.entries(found.path, ref, path)
    except NotFound:
        return problem(404, "GetContentsOrList", errors=[f"object does not exist [id: , rel_path: {path}]"])
    if file:
        return Reply(200, gitea_shapes.entry(call.url, found, file, ref, with_content=True))
    return Reply(200, [gitea_shapes.entry(call.url, found, item, ref, with_content=False) for item in entries])


@ROUTES("GET", "repos/{owner}/{repo}/collaborators/{login}/permission")
def get_permission(call: Call, owner: str, repo: str, login: str) -> Reply:
    found, asks = _writer(call, owner, repo)
    if call.state.permission(found, asks) != "admin" and login != asks.login:
        return problem(403, "Only admins can query all permissions, repo admins can query all repo permissions, "
                            "collaborators can query only their own")  # fmt: skip
    user = call.state.users.get(login)
    if user is None:
        return problem(404, f"user does not exist [uid: 0, name: {login}]")
    permission = "owner" if login == found.owner else call.state.permission(found, user)
    return Reply(200, {"permission": permission, "role_name": permission, "user": gitea_shapes.user(call.url, user)})
