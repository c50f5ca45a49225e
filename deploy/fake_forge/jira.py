"""The dialect of Jira's REST API 2, below `/rest/api/2`, as Cloud and Data Center answer it; see `core.forge.jira`.

A board's `roles` stand for Jira's permissions: `read` sees issues, `edit` comments on, links, edits and transitions
them, `admin` administers the project, `site` all of Jira.
"""

import base64
import binascii
from typing import Any

from deploy.fake_forge import jira_shapes
from deploy.fake_forge.accounts import now
from deploy.fake_forge.boards import Board, Said, Ticket
from deploy.fake_forge.exchange import Call, Refused, Reply, Routes, index
from deploy.fake_forge.records import ForgeError, Invalid, NotFound, User

NAME = "jira"
PREFIX = "/rest/api/2"
ROUTES = Routes()
MOST_BODY = 32_767
_GIVEN = {
    "BROWSE_PROJECTS": "read",
    "ADD_COMMENTS": "edit",
    "EDIT_OWN_COMMENTS": "edit",
    "EDIT_ISSUES": "edit",
    "LINK_ISSUES": "edit",
    "TRANSITION_ISSUES": "edit",
    "ADMINISTER_PROJECTS": "admin",
    "ADMINISTER": "site",
}
_FORMER = {"EDIT_ISSUE": "EDIT_ISSUES"}
"""The names of permissions that Data Center's search of people knows."""


def credential(headers: dict[str, str]) -> str:
    scheme, _, secret = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return secret.strip()
    try:
        return base64.b64decode(secret).decode("utf-8", "replace").partition(":")[2]
    except (ValueError, binascii.Error):
        return "?"


def problem(status: int, message: str) -> Reply:
    return Reply(status, {"errorMessages": [message], "errors": {}})


def unknown() -> Reply:
    return problem(404, "null for uri")


def answer(call: Call) -> Reply:
    if call.user is None:
        return problem(401, "You are not authenticated. Authentication required to perform this operation.")
    try:
        return ROUTES.answer(call)
    except Refused as refused:
        return refused.reply
    except NotFound:
        return problem(404, "Issue does not exist or you do not have permission to see it.")
    except Invalid as error:
        return Reply(400, {"errorMessages": [], "errors": {error.field: error.message}})
    except ForgeError as error:
        return problem(400, str(error))


def _asker(call: Call) -> User:
    if call.user is None:
        raise NotFound("nobody")
    return call.user


def _board(call: Call, key: str, role: str = "read") -> Board:
    found = call.state.board(key)
    if not found.may(call.user, "read"):
        raise NotFound(key)
    if not found.may(call.user, role):
        raise Refused(problem(403, "You do not have the permission for this."))
    return found


def _ticket(call: Call, key: str, role: str = "read") -> tuple[Board, Ticket]:
    board, found = call.state.ticket(key)
    return _board(call, board.key, role), found


def _any_board(call: Call) -> Board:
    """One Jira is wholly of Cloud or wholly of Data Center."""
    return next(iter(call.state.boards.values()))


def _user(call: Call, board: Board, **wanted: str) -> User | None:
    for who in list(call.state.users.values()):
        shown = jira_shapes.user(board, who)
        if any(shown.get(name) == value for name, value in wanted.items()):
            return who
    return None


@ROUTES("GET", "serverInfo")
def server_info(call: Call) -> Reply:
    kind = "Cloud" if _any_board(call).cloud else "Server"
    return Reply(200, {"baseUrl": call.url, "deploymentType": kind, "version": "10.3.0"})


@ROUTES("GET", "myself")
def myself(call: Call) -> Reply:
    return Reply(200, jira_shapes.user(_any_board(call), _asker(call)))


@ROUTES("GET", "user")
def get_user(call: Call) -> Reply:
    board = _any_board(call)
    names = {"accountId": "accountId"} if board.cloud else {"key": "key", "username": "name"}
    wanted = {shown: call.query[asked] for asked, shown in names.items() if asked in call.query}
    found = _user(call, board, **wanted)
    return Reply(200, jira_shapes.user(board, found)) if found else problem(404, "The user does not exist.")


@ROUTES("GET", "project/{key}")
def get_project(call: Call, key: str) -> Reply:
    found = _board(call, key)
    return Reply(200, {"id": str(found.id), "key": found.key, "name": found.key})


@ROUTES("GET", "mypermissions")
def my_permissions(call: Call) -> Reply:
    board = _board(call, call.query.get("projectKey", ""))
    if board.cloud and not call.query.get("permissions"):
        return problem(400, "The permissions parameter is required.")
    held: dict[str, Any] = {
        key: {"key": key, "havePermission": board.may(call.user, role)} for key, role in _GIVEN.items()
    }
    return Reply(200, {"permissions": held})


@ROUTES("GET", "user/permission/search")
def search_people(call: Call) -> Reply:
    key = call.query.get("issueKey")
    board = _ticket(call, key)[0] if key else _board(call, call.query.get("projectKey", ""))
    if not board.may(call.user, "admin"):
        return problem(403, "You do not have the permission to see who has permissions.")
    names = call.query.get("permissions", "").split(",")
    known = _GIVEN if board.cloud else {name: _GIVEN[now_called] for name, now_called in _FORMER.items()}
    if set(names) - set(known):
        return problem(400, f"The permission {names[0]} is not recognised.")
    found = [
        who
        for who in list(call.state.users.values())
        if all(board.may(who, known[name]) for name in names) and _matches(board, who, call.query)
    ]
    return Reply(200, [jira_shapes.user(board, who) for who in found])


def _matches(board: Board, who: User, query: dict[str, str]) -> bool:
    if board.cloud:
        return jira_shapes.identity(board, who) == query.get("accountId")
    return who.login.startswith(query.get("username", ""))


@ROUTES("POST", "permissions/check")
def check_permissions(call: Call) -> Reply:
    board = _any_board(call)
    if not board.cloud:
        return unknown()
    if not board.may(call.user, "site"):
        return problem(403, "Only Jira administrators can check permissions of others.")
    who = _user(call, board, accountId=str(call.body.get("accountId")))
    granted = []
    for asked in call.body["projectPermissions"]:
        for name in asked["permissions"]:
            may = {b.id: b.may(who, _GIVEN[name]) for b in call.state.boards.values()}
            of = {ticket.id: b.id for b in call.state.boards.values() for ticket in b.tickets}
            issues = [number for number in asked.get("issues", ()) if may.get(of.get(number, 0))]
            projects = [number for number in asked.get("projects", ()) if may.get(number)]
            granted.append({"permission": name, "issues": issues, "projects": projects})
    return Reply(200, {"projectPermissions": granted, "globalPermissions": []})


@ROUTES("GET", "issue/{key}")
def get_issue(call: Call, key: str) -> Reply:
    return Reply(200, jira_shapes.issue(call.url, *_ticket(call, key)))


@ROUTES("GET", "issue/{key}/comment")
def list_comments(call: Call, key: str) -> Reply:
    board, ticket = _ticket(call, key)
    start, size = (int(call.query.get(name, most)) for name, most in (("startAt", 0), ("maxResults", 50)))
    page = ticket.comments[start : start + min(size, 100)]
    expanded = "properties" in call.query.get("expand", "").split(",")
    shown = [jira_shapes.comment(call.url, board, ticket, said, expanded=expanded) for said in page]
    return Reply(200, {"startAt": start, "maxResults": size, "total": len(ticket.comments), "comments": shown})


def _body(call: Call) -> str:
    body = call.body.get("body")
    if not isinstance(body, str) or not body.strip():
        raise Invalid("comment", "Comment body can not be empty!")
    if len(body) > MOST_BODY:
        raise Invalid(
            "comment", f"The entered text is too long. It exceeds the allowed limit of {MOST_BODY} characters."
        )
    return body


def _properties(call: Call) -> dict[str, Any]:
    given = call.body.get("properties") or []
    return {item["key"]: item["value"] for item in given}


@ROUTES("POST", "issue/{key}/comment")
def add_comment(call: Call, key: str) -> Reply:
    board, ticket = _ticket(call, key, "edit")
    made = call.state.say(board, ticket, _asker(call), _body(call), _properties(call))
    return Reply(201, jira_shapes.comment(call.url, board, ticket, made, expanded=False))


def _said(ticket: Ticket, number: str) -> Said:
    for said in ticket.comments:
        if said.id == index(number):
            return said
    raise NotFound(number)


@ROUTES("PUT", "issue/{key}/comment/{number}")
def edit_comment(call: Call, key: str, number: str) -> Reply:
    board, ticket = _ticket(call, key, "edit")
    said = _said(ticket, number)
    if said.author is not call.user:
        return problem(400, "You do not have the permission to edit this comment.")
    with call.state.lock:
        said.body, said.updated = _body(call), now()
        said.properties |= _properties(call)
        call.state.noted("ticket.comment.edit", board, said.id, _asker(call))
    return Reply(200, jira_shapes.comment(call.url, board, ticket, said, expanded=False))


@ROUTES("GET", "comment/{number}/properties/{key}")
def get_property(call: Call, number: str, key: str) -> Reply:
    for board in call.state.boards.values():
        for ticket in board.tickets:
            for said in ticket.comments:
                if said.id == index(number) and key in said.properties and board.may(call.user, "read"):
                    return Reply(200, {"key": key, "value": said.properties[key]})
    raise NotFound(number)


@ROUTES("GET", "issue/{key}/transitions")
def list_transitions(call: Call, key: str) -> Reply:
    _, ticket = _ticket(call, key)
    return Reply(200, {"expand": "transitions", "transitions": jira_shapes.transitions(ticket)})


@ROUTES("POST", "issue/{key}/transitions")
def do_transition(call: Call, key: str) -> Reply:
    board, ticket = _ticket(call, key, "edit")
    wanted = jira_shapes.named(str(call.body.get("transition", {}).get("id")))
    if wanted is None:
        return problem(400, "It seems that you have tried to perform a workflow operation that is not valid.")
    call.state.move(board, ticket, _asker(call), wanted)
    return Reply(204)


@ROUTES("POST", "issue/{key}/remotelink")
def add_link(call: Call, key: str) -> Reply:
    board, ticket = _ticket(call, key, "edit")
    link = call.body["object"]
    identity = call.body.get("globalId") or f"link-{len(ticket.links)}"
    known = identity in ticket.links
    call.state.link(board, ticket, _asker(call), identity, link["url"], link["title"])
    return Reply(200 if known else 201, {"id": 10_000 + list(ticket.links).index(identity)})
