"""The payloads of Linear's webhooks, as its published schema describes them (`EntityWebhookPayload`)."""

import time
from datetime import datetime
from typing import Any

from deploy.fake_forge.boards import Board, Said, Ticket
from deploy.fake_forge.linear import identity
from deploy.fake_forge.records import User

_KINDS = {"To Do": "unstarted", "Done": "completed"}


def user(who: User) -> dict[str, Any]:
    return {"id": identity("user", who.id), "name": who.name, "email": f"{who.login}@example.org"}


def issue_event(url: str, board: Board, ticket: Ticket, who: User, was: dict[str, Any] | None = None) -> dict[str, Any]:
    """About a new issue, or one of which `was` holds the former values of what has changed."""
    state = {"id": identity(board.key, ticket.status), "color": "#fff", "name": ticket.status}
    data = _issue(url, board, ticket) | {
        "description": ticket.body,
        "state": state | {"type": _KINDS.get(ticket.status, "started")},
        "stateId": state["id"],
        "labels": [{"id": identity("label", name), "color": "#fff", "name": name} for name in ticket.labels],
        "labelIds": [identity("label", name) for name in ticket.labels],
        "assignee": user(ticket.assignee) if ticket.assignee else None,
        "creator": user(ticket.author),
        "number": ticket.number,
        "previousIdentifiers": [],
        "createdAt": _stamp(ticket.created),
        "updatedAt": _stamp(ticket.updated),
    }
    action = "create" if was is None else "update"
    return _event("Issue", action, data, who, data["url"]) | ({} if was is None else {"updatedFrom": was})


def moved(board: Board, former: str) -> dict[str, Any]:
    """What `updatedFrom` holds of an issue whose status was another."""
    return {"stateId": identity(board.key, former)}


def comment_event(url: str, board: Board, ticket: Ticket, said: Said) -> dict[str, Any]:
    data = {
        "id": said.identity or identity("comment", said.id),
        "body": said.body,
        "issueId": identity("issue", ticket.id),
        "issue": _issue(url, board, ticket),
        "user": user(said.author),
        "userId": identity("user", said.author.id),
        "createdAt": _stamp(said.created),
        "updatedAt": _stamp(said.updated),
    }
    return _event("Comment", "create", data, said.author, f"{data['issue']['url']}#comment-{said.id}")


def _issue(url: str, board: Board, ticket: Ticket) -> dict[str, Any]:
    team = {"id": identity("team", board.id), "key": board.key, "name": board.key}
    return {
        "id": identity("issue", ticket.id),
        "identifier": ticket.key,
        "title": ticket.title,
        "team": team,
        "teamId": team["id"],
        "url": f"{url}/acme/issue/{ticket.key}",
    }


def _event(kind: str, action: str, data: dict[str, Any], who: User, url: str) -> dict[str, Any]:
    return {
        "action": action,
        "type": kind,
        "actor": user(who) | {"type": "user"},
        "createdAt": data["updatedAt"],
        "data": data,
        "url": url,
        "organizationId": identity("organization", 1),
        "webhookId": identity("webhook", 1),
        "webhookTimestamp": int(time.time() * 1000),
    }


def _stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.000Z")
