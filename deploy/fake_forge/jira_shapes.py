"""Objects of Jira's REST API and webhooks, of Cloud and of Data Center."""

import time
from datetime import datetime
from typing import Any

from deploy.fake_forge.boards import WAYS, Board, Said, Ticket
from deploy.fake_forge.records import User

_CATEGORIES = {"To Do": "new", "Done": "done"}


def identity(board: Board, who: User) -> str:
    """The id by which an account is known: of Cloud, or the key of Data Center."""
    return f"712020:{who.id:08x}-fake" if board.cloud else f"JIRAUSER{who.id}"


def user(board: Board, who: User) -> dict[str, Any]:
    shown: dict[str, Any] = {"displayName": who.name, "active": True}
    if board.cloud:
        return shown | {"accountId": identity(board, who), "accountType": "app" if who.is_bot else "atlassian"}
    return shown | {"key": identity(board, who), "name": who.login}


def comment(url: str, board: Board, ticket: Ticket, said: Said, *, expanded: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "self": f"{url}/rest/api/2/issue/{ticket.id}/comment/{said.id}",
        "id": str(said.id),
        "author": user(board, said.author),
        "updateAuthor": user(board, said.author),
        "body": said.body,
        "created": _stamp(said.created),
        "updated": _stamp(said.updated),
    }
    if board.cloud:
        shown["jsdPublic"] = True
    if expanded:
        shown["properties"] = [{"key": key, "value": value} for key, value in said.properties.items()]
    return shown


def issue(url: str, board: Board, ticket: Ticket) -> dict[str, Any]:
    return {
        "id": str(ticket.id),
        "key": ticket.key,
        "self": f"{url}/rest/api/2/issue/{ticket.id}",
        "fields": {
            "summary": ticket.title,
            "description": ticket.body,
            "status": status(ticket.status),
            "labels": ticket.labels,
            "assignee": user(board, ticket.assignee) if ticket.assignee else None,
            "reporter": user(board, ticket.author),
            "created": _stamp(ticket.created),
            "updated": _stamp(ticket.updated),
        },
    }


def status(name: str) -> dict[str, Any]:
    return {"name": name, "id": _number(name), "statusCategory": {"key": _CATEGORIES.get(name, "indeterminate")}}


def transitions(ticket: Ticket) -> list[dict[str, Any]]:
    """Their names are those of what one does, not of the status that it leads to."""
    return [{"id": _number(name), "name": f"To {name}", "to": status(name)} for name in WAYS[ticket.status]]


def named(number: str) -> str | None:
    """The status to which the transition of this id leads."""
    return next((name for name in WAYS if _number(name) == number), None)


def _number(name: str) -> str:
    return str(11 + 10 * list(WAYS).index(name))


def _stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def issue_event(url: str, board: Board, ticket: Ticket, who: User, former: str | None = None) -> dict[str, Any]:
    """The webhook about a new issue, or about one whose status was `former`."""
    event = "jira:issue_created" if former is None else "jira:issue_updated"
    made = _event(event, url, board, ticket) | {"user": user(board, who), "issue_event_type_name": "issue_generic"}
    if former is not None:
        item = {"field": "status", "fieldtype": "jira", "fromString": former, "toString": ticket.status}
        made["changelog"] = {"id": "10", "items": [item]}
    return made


def comment_event(url: str, board: Board, ticket: Ticket, said: Said) -> dict[str, Any]:
    shown = comment(url, board, ticket, said, expanded=False)
    return _event("comment_created", url, board, ticket) | {"comment": shown}


def _event(name: str, url: str, board: Board, ticket: Ticket) -> dict[str, Any]:
    return {"timestamp": int(time.time() * 1000), "webhookEvent": name, "issue": issue(url, board, ticket)}
