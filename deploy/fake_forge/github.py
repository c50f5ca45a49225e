"""The dialect of GitHub's REST API, below `/api/v3` as on GitHub Enterprise Server.

https://docs.github.com/rest: statuses, messages of errors and limits are GitHub's. A token with `read` permission is
treated as one without the scope to write.
"""

import base64
from typing import Any

from deploy.fake_forge import git, github_shapes
from deploy.fake_forge.exchange import (
    BadBody,
    Call,
    Page,
    Refused,
    Reply,
    Routes,
    changed_since,
    index,
    owned,
    page_of,
    strings,
)
from deploy.fake_forge.records import (
    AlreadyExists,
    ForgeError,
    Invalid,
    NoSuchBranch,
    NotFound,
    NothingToMerge,
    Pull,
    Repository,
    User,
)

NAME = "github"
PREFIX = github_shapes.PREFIX
LONGEST_BODY = 65536
ROUTES = Routes()
HEADERS = {
    "x-github-media-type": "github.v3; format=json",
    "x-ratelimit-limit": "5000",
    "x-ratelimit-remaining": "4999",
    "x-ratelimit-used": "1",
    "x-ratelimit-reset": "4102444800",
    "x-ratelimit-resource": "core",
}
_DOCUMENTATION = "https://docs.github.com/rest"


def credential(headers: dict[str, str]) -> str:
    scheme, _, secret = headers.get("authorization", "").partition(" ")
    return secret.strip() if scheme.lower() in ("bearer", "token") else ""


def problem(status: int, message: str, errors: list[dict[str, str]] | None = None) -> Reply:
    body: dict[str, Any] = {"message": message}
    if errors is not None:
        body["errors"] = errors
    return Reply(status, body | {"documentation_url": _DOCUMENTATION, "status": str(status)})


def invalid(resource: str, code: str, field: str = "", message: str = "") -> Refused:
    found = {"resource": resource, "code": code, "field": field, "message": message}
    error = {name: value for name, value in found.items() if value}
    return Refused(problem(422, "Validation Failed", [error]))


def answer(call: Call) -> Reply:
    if call.secret and not call.token and not _for_the_app(call.path.strip("/")):
        return problem(401, "Bad credentials")
    try:
        reply = ROUTES.answer(call)
    except Refused as refused:
        reply = refused.reply
    except NotFound:
        reply = problem(404, "Not Found")
    except ForgeError as error:
        reply = _refusal(call, error)
    reply.headers = HEADERS | reply.headers
    return reply


def _for_the_app(path: str) -> bool:
    """Whether a JWT of the app may be the credential, which the handler then checks."""
    return path.partition("/")[0] == "app" or path.endswith("/installation")


def unknown() -> Reply:
    return problem(404, "Not Found")


def _refusal(call: Call, error: ForgeError) -> Reply:
    if isinstance(error, BadBody):
        return problem(400, "Problems parsing JSON")
    if isinstance(error, AlreadyExists):
        owner = call.path.strip("/").split("/")[1]
        message = f"A pull request already exists for {owner}:{error.pull.head}."
        return invalid("PullRequest", "custom", message=message).reply
    if isinstance(error, NoSuchBranch):
        return invalid("PullRequest", "invalid", error.field).reply
    if isinstance(error, Invalid):
        return invalid("PullRequest", "custom", error.field, f"{error.field} {error.message}").reply
    return problem(422, str(error))


def found_repository(call: Call, owner: str, repo: str, need: str = "read") -> Repository:
    repository = call.state.repository(f"{owner}/{repo}")
    if not call.state.may(repository, call.user, "read"):
        raise NotFound(repository.full_name)
    if not call.state.may(repository, call.user, need):
        if call.user is None:
            raise Refused(problem(401, "Requires authentication"))
        by = "integration" if call.token and call.token.is_installation else "personal access token"
        raise Refused(problem(403, f"Resource not accessible by {by}"))
    return repository


def writer(call: Call, owner: str, repo: str) -> tuple[Repository, User]:
    repository = found_repository(call, owner, repo, "write")
    if call.user is None:
        raise Refused(problem(401, "Requires authentication"))
    return repository, call.user


def text(call: Call, name: str, resource: str, *, needed: bool = False) -> str | None:
    """A field of the body that must be a string, or None. A body that is too long is refused as GitHub does."""
    value = call.body.get(name)
    if value is None or (needed and value == ""):
        if needed:
            raise invalid(resource, "missing_field", name)
        return None
    if not isinstance(value, str):
        raise Refused(problem(422, f"Invalid request.\n\nFor 'properties/{name}', {value!r} is not a string."))
    if name == "body" and len(value) > LONGEST_BODY:
        if resource == "IssueComment":
            raise invalid(resource, "unprocessable", "data", f"Body is too long (maximum is {LONGEST_BODY} characters)")
        raise invalid("Issue", "custom", "body", f"body is too long (maximum is {LONGEST_BODY} characters)")
    return value


def paged(call: Call, items: list[Any]) -> Page:
    return page_of(call, items, "per_page", 30, 100)


def sorted_as_asked(call: Call, items: list[Any]) -> list[Any]:
    """By time of creation or, if it is asked for, of the last change; the newest first unless asked otherwise."""
    by = "updated" if call.query.get("sort") == "updated" else "created"
    items = sorted(items, key=lambda item: (getattr(item, by), item.id))
    return items if call.query.get("direction") == "asc" else items[::-1]


def link(call: Call, page: Page) -> dict[str, str]:
    return page.link(f"{call.url}{PREFIX}", call, "per_page")


def _owner(call: Call, repository: Repository) -> User:
    return call.state.add_user(repository.owner)


def _shown(call: Call, repository: Repository, pull: Pull, status: int = 200) -> Reply:
    return Reply(status, github_shapes.pull(call.url, repository, _owner(call, repository), pull))


@ROUTES("GET", "user")
def current_user(call: Call) -> Reply:
    if call.user is None:
        return problem(401, "Requires authentication")
    if call.token and call.token.is_installation:
        return problem(403, "Resource not accessible by integration")
    return Reply(200, github_shapes.full_user(call.url, call.user))


@ROUTES("GET", "repos/{owner}/{repo}")
def get_repository(call: Call, owner: str, repo: str) -> Reply:
    found = found_repository(call, owner, repo)
    permission = call.state.permission(found, call.user)
    return Reply(200, github_shapes.repository(call.url, found, _owner(call, found), permission))


@ROUTES("GET", "orgs/{owner}/repos")
@ROUTES("GET", "users/{owner}/repos")
def list_repositories(call: Call, owner: str) -> Reply:
    """Every owner of a repository is an organisation here."""
    found = owned(call, owner)
    if not found:
        raise NotFound(owner)
    page = paged(call, found)
    shown = [github_shapes.repository(call.url, one, _owner(call, one), "read") for one in page.items]
    return Reply(200, shown, link(call, page))


@ROUTES("GET", "repos/{owner}/{repo}/branches/{branch...}")
def get_branch(call: Call, owner: str, repo: str, branch: str) -> Reply:
    found = found_repository(call, owner, repo)
    commit = git.branch(found.path, branch)
    if commit is None:
        return problem(404, "Branch not found")
    return Reply(200, github_shapes.branch(call.url, found, branch, git.commit(found.path, commit)))


@ROUTES("GET", "repos/{owner}/{repo}/pulls")
def list_pulls(call: Call, owner: str, repo: str) -> Reply:
    found = found_repository(call, owner, repo)
    state, base = call.query.get("state", "open"), call.query.get("base")
    head_owner, colon, head = call.query.get("head", "").partition(":")
    pulls = [
        pull
        for pull in found.pulls
        if state in ("all", pull.state)
        and base in (None, "", pull.base)
        and (not colon or (head_owner.lower(), head) == (found.owner.lower(), pull.head))  # GitHub ignores a bare name
    ]
    page, by = paged(call, sorted_as_asked(call, pulls)), _owner(call, found)
    shown = [github_shapes.pull(call.url, found, by, pull, full=False) for pull in page.items]
    return Reply(200, shown, link(call, page))


@ROUTES("POST", "repos/{owner}/{repo}/pulls")
def create_pull(call: Call, owner: str, repo: str) -> Reply:
    found, user = writer(call, owner, repo)
    title = text(call, "title", "PullRequest", needed=True)
    head = text(call, "head", "PullRequest", needed=True) or ""
    base = text(call, "base", "PullRequest", needed=True) or ""
    body = text(call, "body", "PullRequest")
    head_owner, colon, branch = head.partition(":")
    if colon and head_owner.lower() != owner.lower():
        raise invalid("PullRequest", "invalid", "head")  # there are no forks here
    branch = branch if colon else head
    draft = call.body.get("draft") in (True, "true")
    try:
        pull = call.state.add_pull(
            found, user, head=branch, base=base, title=title or "", body=body or "", draft=draft, may_be_empty=False
        )
    except NothingToMerge:
        raise invalid("PullRequest", "custom", message=f"No commits between {base} and {branch}") from None
    reply = _shown(call, found, pull, 201)
    reply.headers["Location"] = reply.body["url"]
    return reply


@ROUTES("GET", "repos/{owner}/{repo}/pulls/comments")
def list_review_comments(call: Call, owner: str, repo: str) -> Reply:
    """Those on lines, of all pull requests."""
    from deploy.fake_forge.reviews import comment

    found = found_repository(call, owner, repo)
    of = {remark.id: pull for pull in found.pulls for remark in pull.remarks}
    remarks = changed_since(call, [remark for pull in found.pulls for remark in pull.remarks], "since")
    page = paged(call, sorted_as_asked(call, remarks))
    return Reply(200, [comment(call.url, found, of[item.id], item) for item in page.items], link(call, page))


@ROUTES("GET", "repos/{owner}/{repo}/pulls/{number}")
def get_pull(call: Call, owner: str, repo: str, number: str) -> Reply:
    found = found_repository(call, owner, repo)
    return _shown(call, found, call.state.pull(found, index(number)))


@ROUTES("PATCH", "repos/{owner}/{repo}/pulls/{number}")
def edit_pull(call: Call, owner: str, repo: str, number: str) -> Reply:
    found, user = writer(call, owner, repo)
    pull = call.state.pull(found, index(number))
    wanted = {name: text(call, name, "PullRequest") for name in ("title", "body", "state", "base")}
    if wanted["title"] == "":
        raise invalid("PullRequest", "missing_field", "title")
    call.state.edit(
        found, pull, user, title=wanted["title"], body=wanted["body"], state=wanted["state"], base=wanted["base"]
    )
    return _shown(call, found, pull)


@ROUTES("POST", "repos/{owner}/{repo}/pulls/{number}/requested_reviewers")
def request_reviewers(call: Call, owner: str, repo: str, number: str) -> Reply:
    found, user = writer(call, owner, repo)
    pull = call.state.pull(found, index(number))
    try:
        call.state.request_reviews(found, pull, user, strings(call.body.get("reviewers")))
    except Invalid:
        message = (
            "Reviews may only be requested from collaborators. One or more of the users or teams you specified is "
            f"not a collaborator of the {found.full_name} repository."
        )
        return problem(422, message)
    return _shown(call, found, pull, 201)


@ROUTES("GET", "repos/{owner}/{repo}/contents")
@ROUTES("GET", "repos/{owner}/{repo}/contents/{path...}")
def get_contents(call: Call, owner: str, repo: str, path: str = "") -> Reply:
    found = found_repository(call, owner, repo)
    ref = call.query.get("ref") or found.default_branch
    file, entries = git.entries(found.path, ref, path)
    if file is None:
        return Reply(200, [github_shapes.entry(call.url, found, item, ref) for item in entries])
    shown = github_shapes.entry(call.url, found, file, ref)
    whole = file.size <= 1 << 20  # GitHub leaves out the content of larger files
    content = base64.encodebytes(file.data).decode() if whole else ""
    return Reply(200, shown | {"content": content, "encoding": "base64" if whole else "none"})


@ROUTES("GET", "repos/{owner}/{repo}/collaborators/{login}/permission")
def get_permission(call: Call, owner: str, repo: str, login: str) -> Reply:
    found, _ = writer(call, owner, repo)
    user = call.state.users.get(login)
    if user is None:
        return problem(404, f"{login} is not a user")
    permission = call.state.permission(found, user)
    rights = github_shapes.repository(call.url, found, user, permission)["permissions"]
    shown = github_shapes.user(call.url, user) | {"permissions": rights, "role_name": permission}
    return Reply(200, {"permission": permission, "role_name": permission, "user": shown})
