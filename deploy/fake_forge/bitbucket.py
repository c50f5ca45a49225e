"""The dialect of Bitbucket Cloud's REST API, below `/2.0`; https://developer.atlassian.com/cloud/bitbucket/rest/.

There are no issues and no labels, and pull requests are numbered by themselves (`iid`). A second pull request for the
same branches is the first one, changed. Bearer tokens are access tokens, which may not ask who they are; with Basic
authentication, the token is a person's. Of the query language there are the filters in `_FILTERS`.
"""

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from deploy.fake_forge import bitbucket_shapes
from deploy.fake_forge.exchange import BadBody, Call, Refused, Reply, Routes, owned, page_of
from deploy.fake_forge.exchange import index as number_of
from deploy.fake_forge.records import AlreadyExists, ForgeError, NotFound, Pull, Repository, User

NAME = "bitbucket"
PREFIX = bitbucket_shapes.PREFIX
LONGEST_COMMENT = 32_768
ROUTES = Routes()
_FILTERS: dict[str, Callable[[Any, str], bool]] = {
    r'source\.branch\.name="([^"\\]*)"': lambda pull, name: pull.head == name,
    r"updated_on>=(\S+)": lambda item, at: item.updated >= datetime.fromisoformat(at),
    r'permission>"(read)"': lambda item, _: item[1] in ("write", "admin"),
}


def credential(headers: dict[str, str]) -> str:
    scheme, _, secret = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return secret.strip()
    try:
        return base64.b64decode(secret).decode().partition(":")[2] if scheme.lower() == "basic" else ""
    except (ValueError, binascii.Error):
        return "?"


def problem(status: int, message: str, **more: Any) -> Reply:
    return Reply(status, {"type": "error", "error": {"message": message, **more}})


def unknown() -> Reply:
    return problem(404, "Resource not found")


def answer(call: Call) -> Reply:
    if call.secret and not call.token:
        return problem(401, "Token is invalid, expired, or not supported for this endpoint.")
    try:
        return ROUTES.answer(call)
    except Refused as refused:
        return refused.reply
    except NotFound:
        return unknown()
    except BadBody:
        return problem(400, "Bad request")
    except ForgeError as error:
        return problem(400, str(error))


def found_repository(call: Call, owner: str, slug: str, need: str = "read") -> Repository:
    found = call.state.repository(f"{owner}/{slug}")
    if not call.state.may(found, call.user, "read"):
        raise NotFound(found.full_name)
    if not call.state.may(found, call.user, need):
        wanted = {"write": "repository:write", "admin": "repository:admin"}[need]
        raise Refused(problem(403, "Your credentials lack one or more required privilege scopes.", detail=wanted))
    return found


def _writer(call: Call, owner: str, slug: str) -> tuple[Repository, User]:
    found = found_repository(call, owner, slug, "write")
    if call.user is None:
        raise Refused(problem(401, "Authentication required"))
    return found, call.user


def _pull(found: Repository, number: str) -> Pull:
    for pull in found.pulls:
        if pull.iid == number_of(number):
            return pull
    raise NotFound(number)


def _inner(call: Call, *path: str, needed: bool = True) -> str:
    """The text at a path of the body."""
    value: Any = call.body
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    if not isinstance(value, str) or (needed and not value):
        if value is None and not needed:
            return ""
        raise Refused(problem(400, "Bad request", fields={".".join(path): ["required key not provided"]}))
    return value


def _filtered(call: Call, items: Sequence[Any]) -> list[Any]:
    kept = list(items)
    for part in filter(None, call.query.get("q", "").split(" AND ")):
        for pattern, holds in _FILTERS.items():
            if found := re.fullmatch(pattern, part.strip()):
                kept = [item for item in kept if holds(item, found[1])]
                break
        else:
            raise Refused(problem(400, f"{part}: the fake forge has no such filter"))
    return kept


def listed(call: Call, items: Sequence[Any], shape: Any, most: int = 100) -> Reply:
    page = page_of(call, items, "pagelen", 10, most)
    body = {"pagelen": page.size, "page": page.number, "size": page.total, "values": [shape(one) for one in page.items]}
    if page.number < page.last:
        query = urlencode({**call.query, "page": page.number + 1})
        body["next"] = f"{call.url}{PREFIX}{quote(call.path, safe='/%')}?{query}"
    return Reply(200, body)


@ROUTES("GET", "user")
def current_user(call: Call) -> Reply:
    if call.user is None:
        return problem(401, "Authentication required")
    if call.headers.get("authorization", "").lower().startswith("bearer"):
        return problem(403, "This API is not accessible by this authentication mechanism")
    return Reply(200, bitbucket_shapes.user(call.url, call.user))


@ROUTES("GET", "repositories/{owner}")
def list_repositories(call: Call, owner: str) -> Reply:
    found, by = owned(call, owner), call.state.add_user(owner)
    if not found:
        raise NotFound(owner)
    return listed(call, found, lambda one: bitbucket_shapes.repository(call.url, one, by))


@ROUTES("GET", "repositories/{owner}/{slug}")
def get_repository(call: Call, owner: str, slug: str) -> Reply:
    found = found_repository(call, owner, slug)
    return Reply(200, bitbucket_shapes.repository(call.url, found, call.state.add_user(owner)))


@ROUTES("GET", "workspaces/{owner}/permissions/repositories/{slug}")
def list_permissions(call: Call, owner: str, slug: str) -> Reply:
    found = found_repository(call, owner, slug, "admin")
    held = [(call.state.users[login], right) for login, right in found.permissions.items() if right != "none"]

    def shape(item: tuple[User, str]) -> dict[str, Any]:
        return {
            "type": "repository_permission",
            "user": bitbucket_shapes.user(call.url, item[0]),
            "repository": bitbucket_shapes.named(call.url, found),
            "permission": item[1],
        }

    return listed(call, _filtered(call, held), shape)


@ROUTES("GET", "repositories/{owner}/{slug}/pullrequests")
def list_pulls(call: Call, owner: str, slug: str) -> Reply:
    """Open ones unless `state` is given; of several, the last counts here, so any stands for all."""
    found = found_repository(call, owner, slug)
    pulls = [pull for pull in found.pulls if "state" in call.query or pull.state == "open"]
    pulls = _filtered(call, pulls)
    if call.query.get("sort", "").startswith("-"):
        pulls.reverse()
    return listed(call, pulls, lambda pull: bitbucket_shapes.pull(call.url, found, pull), 50)


@ROUTES("POST", "repositories/{owner}/{slug}/pullrequests")
def create_pull(call: Call, owner: str, slug: str) -> Reply:
    found, user = _writer(call, owner, slug)
    wanted: dict[str, Any] = {
        "title": _inner(call, "title"),
        "body": _inner(call, "description", needed=False),
        "draft": call.body.get("draft") is True,
    }
    head = _inner(call, "source", "branch", "name")
    base = _inner(call, "destination", "branch", "name", needed=False) or found.default_branch
    with call.state.lock:
        try:
            pull = call.state.add_pull(found, user, head=head, base=base, may_be_empty=False, **wanted)
        except AlreadyExists as error:
            pull = error.pull
            call.state.edit(found, pull, user, **wanted)
    return Reply(201, bitbucket_shapes.pull(call.url, found, pull))


@ROUTES("GET", "repositories/{owner}/{slug}/pullrequests/{number}")
def get_pull(call: Call, owner: str, slug: str, number: str) -> Reply:
    found = found_repository(call, owner, slug)
    return Reply(200, bitbucket_shapes.pull(call.url, found, _pull(found, number)))


@ROUTES("POST", "repositories/{owner}/{slug}/pullrequests/{number}/decline")
def decline(call: Call, owner: str, slug: str, number: str) -> Reply:
    found, user = _writer(call, owner, slug)
    pull = _pull(found, number)
    call.state.edit(found, pull, user, state="closed")
    return Reply(200, bitbucket_shapes.pull(call.url, found, pull))


@ROUTES("GET", "repositories/{owner}/{slug}/pullrequests/{number}/comments")
def list_comments(call: Call, owner: str, slug: str, number: str) -> Reply:
    """Those on lines too."""
    found = found_repository(call, owner, slug)
    pull = _pull(found, number)
    comments = sorted([*pull.comments, *pull.remarks], key=lambda one: (one.created, one.id))
    return listed(call, _filtered(call, comments), lambda one: bitbucket_shapes.comment(call.url, found, pull, one))


def _text(call: Call) -> str:
    text = _inner(call, "content", "raw")
    if len(text) > LONGEST_COMMENT:
        raise Refused(problem(400, "Bad request", fields={"content": [f"at most {LONGEST_COMMENT} characters"]}))
    return text


@ROUTES("POST", "repositories/{owner}/{slug}/pullrequests/{number}/comments")
def add_comment(call: Call, owner: str, slug: str, number: str) -> Reply:
    found, user = _writer(call, owner, slug)
    pull, text = _pull(found, number), _text(call)
    parent = call.body.get("parent")
    if not isinstance(parent, dict):
        made = call.state.add_comment(found, pull, user, text)
        return Reply(201, bitbucket_shapes.comment(call.url, found, pull, made))
    first = next((one for one in pull.remarks if one.id == parent.get("id")), None)
    if first is None:
        return problem(400, "parent: this comment does not exist")
    remark = call.state.add_remark(found, pull, user, text, thread=first.thread)
    return Reply(201, bitbucket_shapes.comment(call.url, found, pull, remark))


@ROUTES("PUT", "repositories/{owner}/{slug}/pullrequests/{number}/comments/{comment}")
def edit_comment(call: Call, owner: str, slug: str, number: str, comment: str) -> Reply:
    found, user = _writer(call, owner, slug)
    pull, text = _pull(found, number), _text(call)
    held = next((one for one in pull.comments if one.id == number_of(comment)), None)
    if held is None:
        raise NotFound(comment)
    if held.author is not user:
        return problem(403, "You can only edit your own comments.")
    changed = call.state.edit_comment(found, held.id, user, text)
    return Reply(200, bitbucket_shapes.comment(call.url, found, pull, changed))


@ROUTES("GET", "repositories/{owner}/{slug}/commit/{commit}/statuses")
def list_statuses(call: Call, owner: str, slug: str, commit: str) -> Reply:
    found = found_repository(call, owner, slug)
    runs = [run for run in found.check_runs if run.head_commit == commit]
    return listed(call, runs, lambda run: bitbucket_shapes.status(call.url, found, run))
