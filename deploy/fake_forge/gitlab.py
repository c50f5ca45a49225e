"""The dialect of GitLab's REST API, below `/api/v4`; https://docs.gitlab.com/api/rest/.

A merge request's draft is the prefix `Draft: ` of its title. Issues and merge requests are numbered apart (`iid`). A
source branch that does not exist is refused with 400; GitLab itself creates such a merge request.
"""

from typing import Any

from deploy.fake_forge import git, gitlab_shapes
from deploy.fake_forge.exchange import (
    BadBody,
    Call,
    Refused,
    Reply,
    Routes,
    changed_since,
    owned,
    page_of,
    split_draft,
    strings,
)
from deploy.fake_forge.exchange import index as number_of
from deploy.fake_forge.records import (
    AlreadyExists,
    ForgeError,
    Invalid,
    Issue,
    NoSuchBranch,
    NotFound,
    Pull,
    Repository,
    User,
)

NAME = "gitlab"
PREFIX = gitlab_shapes.PREFIX
LONGEST_DESCRIPTION = 1 << 20
LONGEST_NOTE = 1_000_000
ROUTES = Routes()
_DRAFTS = ("draft:", "[draft]", "(draft)")
_LEVELS = {"none": 0, "read": 20, "write": 30, "admin": 50}


def credential(headers: dict[str, str]) -> str:
    if "private-token" in headers:
        return headers["private-token"]
    scheme, _, secret = headers.get("authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""


def problem(status: int, message: Any) -> Reply:
    return Reply(status, {"message": message})


def unknown() -> Reply:
    return Reply(404, {"error": "404 Not Found"})


def answer(call: Call) -> Reply:
    if call.secret and not call.token:
        return problem(401, "401 Unauthorized")
    try:
        return ROUTES.answer(call)
    except Refused as refused:
        return refused.reply
    except ForgeError as error:
        return _refusal(error)


def _refusal(error: ForgeError) -> Reply:
    if isinstance(error, NotFound):
        return problem(404, "404 Not found")
    if isinstance(error, BadBody):
        return Reply(400, {"error": "The provided content-type or body is not supported"})
    if isinstance(error, AlreadyExists):
        return problem(409, [f"Another open merge request already exists for this source branch: !{error.pull.iid}"])
    if isinstance(error, NoSuchBranch):
        return problem(400, {f"{'source' if error.field == 'head' else 'target'}_branch": ["does not exist"]})
    if isinstance(error, Invalid):
        return problem(400, {error.field: [error.message]})
    return problem(400, str(error))


def found_project(call: Call, project: str, need: str = "read") -> Repository:
    found = [
        repository
        for repository in list(call.state.repositories.values())
        if project in (str(repository.id), repository.full_name)
    ]
    if not found or not call.state.may(found[0], call.user, "read"):
        raise Refused(problem(404, "404 Project Not Found"))
    if not call.state.may(found[0], call.user, need):
        raise Refused(problem(403, "403 Forbidden") if call.user else problem(401, "401 Unauthorized"))
    return found[0]


def writer(call: Call, project: str) -> tuple[Repository, User]:
    found = found_project(call, project, "write")
    if call.user is None:
        raise Refused(problem(401, "401 Unauthorized"))
    return found, call.user


def text(call: Call, name: str, *, needed: bool = False) -> str | None:
    value = call.body.get(name)
    if value is None:
        if needed:
            raise Refused(Reply(400, {"error": f"{name} is missing"}))
        return None
    if not isinstance(value, str):
        raise Refused(Reply(400, {"error": f"{name} is invalid"}))
    if needed and not value:
        raise Refused(Reply(400, {"error": f"{name} is empty"}))
    longest = {"description": LONGEST_DESCRIPTION, "body": LONGEST_NOTE, "title": 255}.get(name)
    if longest and len(value) > longest:
        field = "note" if name == "body" else name
        raise Refused(problem(400, {field: [f"is too long (maximum is {longest} characters)"]}))
    return value


def listed(call: Call, items: list[Any], shape: Any) -> Reply:
    page = page_of(call, items, "per_page", 20, 100)
    headers = {
        "x-page": str(page.number),
        "x-per-page": str(page.size),
        "x-next-page": str(page.number + 1) if page.number < page.last else "",
        "x-prev-page": str(page.number - 1) if page.number > 1 else "",
        "x-total": str(page.total),
        "x-total-pages": str(page.last),
    }
    shown = [shape(item) for item in page.items]
    return Reply(200, shown, headers | page.link(f"{call.url}{PREFIX}", call, "per_page"))


def _ordered(call: Call, items: list[Any]) -> list[Any]:
    """The newest first, as GitLab does unless it is told otherwise."""
    return items if call.query.get("sort") == "asc" else items[::-1]


def _by_iid(items: list[Any], iid: str) -> Any:
    for item in items:
        if item.iid == number_of(iid):
            return item
    raise NotFound(iid)


def _merge_request(call: Call, found: Repository, pull: Pull, status: int = 200) -> Reply:
    return Reply(status, gitlab_shapes.merge_request(call.url, found, pull))


@ROUTES("GET", "user")
def current_user(call: Call) -> Reply:
    if call.user is None:
        return problem(401, "401 Unauthorized")
    return Reply(200, gitlab_shapes.current_user(call.url, call.user))


@ROUTES("GET", "users")
def list_users(call: Call) -> Reply:
    name = call.query.get("username", "").lower()
    users = [user for user in call.state.users.values() if not name or user.login.lower() == name]
    return listed(call, users, lambda user: gitlab_shapes.user(call.url, user))


@ROUTES("GET", "projects/{project}")
def get_project(call: Call, project: str) -> Reply:
    found = found_project(call, project)
    level = _LEVELS[found.permissions.get(call.user.login, "none")] if call.user else 0
    owner = call.state.add_user(found.owner)
    return Reply(200, gitlab_shapes.project(call.url, found, owner, level))


@ROUTES("GET", "groups/{owner}/projects")
def list_projects(call: Call, owner: str) -> Reply:
    """Every owner of a repository is a group here."""
    found = owned(call, owner)
    if not found:
        raise NotFound(owner)
    by = call.state.add_user(owner)
    return listed(call, found, lambda one: gitlab_shapes.project(call.url, one, by, 0))


@ROUTES("GET", "projects/{project}/repository/branches/{branch}")
def get_branch(call: Call, project: str, branch: str) -> Reply:
    found = found_project(call, project)
    commit = git.branch(found.path, branch)
    if commit is None:
        return problem(404, "404 Branch Not Found")
    may_push = call.state.may(found, call.user, "write")
    return Reply(200, gitlab_shapes.branch(call.url, found, branch, git.commit(found.path, commit), may_push))


@ROUTES("GET", "projects/{project}/members/all/{user}")
def get_member(call: Call, project: str, user: str) -> Reply:
    found = found_project(call, project)
    for member in list(call.state.users.values()):
        level = _LEVELS[found.permissions.get(member.login, "none")]
        if member.id == number_of(user) and level:
            return Reply(200, gitlab_shapes.user(call.url, member) | {"access_level": level, "expires_at": None})
    raise NotFound(user)


@ROUTES("GET", "projects/{project}/merge_requests")
def list_merge_requests(call: Call, project: str) -> Reply:
    found, query = found_project(call, project), call.query
    pulls = [
        pull
        for pull in found.pulls
        if query.get("state", "all") in ("all", gitlab_shapes.state(pull))
        and query.get("source_branch", pull.head) == pull.head
        and query.get("target_branch", pull.base) == pull.base
    ]
    pulls = _ordered(call, changed_since(call, pulls, "updated_after"))
    return listed(call, pulls, lambda pull: gitlab_shapes.merge_request(call.url, found, pull))


@ROUTES("POST", "projects/{project}/merge_requests")
def create_merge_request(call: Call, project: str) -> Reply:
    found, user = writer(call, project)
    title, draft = split_draft(text(call, "title", needed=True) or "", _DRAFTS)
    source, target = (text(call, f"{name}_branch", needed=True) or "" for name in ("source", "target"))
    if source == target:
        return problem(422, ["You can't use same project/branch for source and target"])
    description = text(call, "description") or ""
    with call.state.lock:
        pull = call.state.add_pull(found, user, head=source, base=target, title=title, body=description, draft=draft)
        call.state.add_labels(found, pull, user, strings(call.body.get("labels")))
        _review(call, found, pull, user)
    return _merge_request(call, found, pull, 201)


def _review(call: Call, found: Repository, pull: Pull, user: User) -> None:
    """Sets the reviewers; as GitLab does, it leaves out ids that are no member's."""
    wanted = call.body.get("reviewer_ids")
    if wanted is not None:
        ids = {str(item) for item in wanted} if isinstance(wanted, list) else set(strings(wanted))
        chosen = [who for who in call.state.users.values() if str(who.id) in ids and call.state.may(found, who, "read")]
        pull.reviewers = []
        call.state.request_reviews(found, pull, user, [who.login for who in chosen if who is not pull.author])


@ROUTES("GET", "projects/{project}/merge_requests/{iid}")
def get_merge_request(call: Call, project: str, iid: str) -> Reply:
    found = found_project(call, project)
    return _merge_request(call, found, _by_iid(found.pulls, iid))


@ROUTES("PUT", "projects/{project}/merge_requests/{iid}")
def edit_merge_request(call: Call, project: str, iid: str) -> Reply:
    found, user = writer(call, project)
    pull = _by_iid(found.pulls, iid)
    title, draft = text(call, "title"), None
    if title is not None:
        title, draft = split_draft(title, _DRAFTS)
    event = text(call, "state_event")
    if event not in (None, "close", "reopen"):
        return Reply(400, {"error": "state_event does not have a valid value"})
    state = {"close": "closed", "reopen": "open"}.get(event or "")
    with call.state.lock:
        body, base = text(call, "description"), text(call, "target_branch")
        call.state.edit(found, pull, user, title=title, body=body, state=state, base=base, draft=draft)
        _relabel(call, found, pull, user)
        _review(call, found, pull, user)
    return _merge_request(call, found, pull)


def _relabel(call: Call, found: Repository, issue: Issue, user: User) -> None:
    body = call.body
    if "labels" in body:
        call.state.add_labels(found, issue, user, strings(body["labels"]), replace=True)
    call.state.add_labels(found, issue, user, strings(body.get("add_labels")))
    removed = strings(body.get("remove_labels"))
    left = [name for name in issue.labels if name not in removed]
    call.state.add_labels(found, issue, user, left, replace=True)


@ROUTES("GET", "projects/{project}/issues")
def list_issues(call: Call, project: str) -> Reply:
    found, state = found_project(call, project), call.query.get("state", "all")
    issues = [one for one in found.issues if state in ("all", gitlab_shapes.state(one))]
    issues = _ordered(call, changed_since(call, issues, "updated_after"))
    return listed(call, issues, lambda issue: gitlab_shapes.issue(call.url, found, issue))


@ROUTES("GET", "projects/{project}/issues/{iid}/resource_label_events")
def list_label_events(call: Call, project: str, iid: str) -> Reply:
    found = found_project(call, project)
    issue = _by_iid(found.issues, iid)
    events = [one for one in issue.history if one.kind != "assigned"]
    return listed(call, events, lambda one: gitlab_shapes.label_event(call.url, found, issue, one))


@ROUTES("GET", "projects/{project}/issues/{iid}")
def get_issue(call: Call, project: str, iid: str) -> Reply:
    found = found_project(call, project)
    return Reply(200, gitlab_shapes.issue(call.url, found, _by_iid(found.issues, iid)))


def _noteable(found: Repository, kind: str, iid: str) -> Issue:
    issue: Issue = _by_iid(found.issues if kind == "issues" else list(found.pulls), iid)
    return issue


def _list_notes(call: Call, project: str, kind: str, iid: str) -> Reply:
    found = found_project(call, project)
    of = _noteable(found, kind, iid)
    shown = [gitlab_shapes.note(call.url, found, of, note) for note in of.comments]
    if isinstance(of, Pull):
        shown += [gitlab_shapes.line_note(call.url, found, of, remark) for remark in of.remarks]
    shown += [gitlab_shapes.assigned(call.url, found, of, one) for one in of.history if one.kind == "assigned"]
    notes = sorted(shown, key=lambda note: (note["created_at"], note["id"]))
    return listed(call, _ordered(call, notes), lambda note: note)


def _add_note(call: Call, project: str, kind: str, iid: str) -> Reply:
    found, user = writer(call, project)
    of = _noteable(found, kind, iid)
    made = call.state.add_comment(found, of, user, text(call, "body", needed=True) or "")
    return Reply(201, gitlab_shapes.note(call.url, found, of, made))


def _change_note(call: Call, project: str, kind: str, iid: str, note: str) -> Reply:
    found, user = writer(call, project)
    of = _noteable(found, kind, iid)
    if all(comment.id != number_of(note) for comment in of.comments):
        raise NotFound(note)
    body = text(call, "body", needed=True) if call.method == "PUT" else None
    changed = call.state.edit_comment(found, number_of(note), user, body)
    return Reply(204) if body is None else Reply(200, gitlab_shapes.note(call.url, found, of, changed))


def _notes(kind: str) -> None:
    """The endpoints of notes, which are alike for issues and merge requests."""

    def bound(handler: Any) -> Any:
        return lambda call, project, iid, **more: handler(call, project, kind, iid, **more)

    ROUTES("GET", f"projects/{{project}}/{kind}/{{iid}}/notes")(bound(_list_notes))
    ROUTES("POST", f"projects/{{project}}/{kind}/{{iid}}/notes")(bound(_add_note))
    for method in ("PUT", "DELETE"):
        ROUTES(method, f"projects/{{project}}/{kind}/{{iid}}/notes/{{note}}")(bound(_change_note))


_notes("issues")
_notes("merge_requests")
