"""Tickets as GitHub tells of them, in webhooks and in its REST API; Gitea's are nearly the same.

Payloads: https://docs.github.com/webhooks/webhook-events-and-payloads. Pure functions; they raise
`core.payload.BadField`.
"""

from collections.abc import Mapping
from typing import Any

from core.payload import number_at, object_at, optional_text_at, text_at, time_at, value_at
from core.tickets import links
from core.tickets.fields import (
    address_at,
    assignees_at,
    body_at,
    commit_at,
    identity_at,
    labels_at,
    name_at,
    repository_at,
    title_at,
)
from core.tickets.record import Comment, Kind, Service, Snapshot, State, TicketChange

_COMMENTS = {
    "issue_comment": ("comment", ""),
    "pull_request_review_comment": ("comment", "review-"),
    "pull_request_review": ("review", "whole-review-"),
}
"""Of each kind of event, where its comment is, and what sets its ids apart from those of the other kinds."""

_GONE = ("deleted", "transferred")


def change(event: str, payload: Mapping[str, Any], service: Service = Service.GITHUB) -> TicketChange | None:
    """What an event tells of a ticket; None for an event that is about none."""
    if event not in ("issues", "pull_request", *_COMMENTS):
        return None
    action = text_at(payload, "action")
    at = "issue" if event in ("issues", "issue_comment") else "pull_request"
    project = repository_at(payload, "repository.full_name")
    number = number_at(payload, f"{at}.number")
    comment = None
    if event in _COMMENTS:
        place, prefix = _COMMENTS[event]
        comment = comment_of(payload, place, prefix=prefix, deleted=action == "deleted")
        if event == "pull_request_review" and not comment.body:
            comment = None  # an approval without words
    return TicketChange(
        service=service,
        project=project,
        key=f"#{number}",
        kind=kind_of(payload, at),
        action=f"{event}.{action[:64]}",
        ticket=snapshot(payload, at, project),
        comment=comment,
        deleted=event in ("issues", "pull_request") and action in _GONE,
    )


def kind_of(payload: Mapping[str, Any], at: str) -> Kind:
    """Issues that are pull requests carry an object of that name."""
    is_pull = at == "pull_request" or bool(value_at(payload, f"{at}.pull_request"))
    return Kind.PULL_REQUEST if is_pull else Kind.ISSUE


def snapshot(payload: Mapping[str, Any], at: str, project: str) -> Snapshot:
    """The issue or pull request at a path."""
    title, body = title_at(payload, f"{at}.title"), body_at(payload, f"{at}.body")
    pull = kind_of(payload, at) == Kind.PULL_REQUEST
    within = f"{at}.pull_request" if at == "issue" else at
    merged = pull and bool(value_at(payload, f"{within}.merged_at") or value_at(payload, f"{within}.merged"))
    status = name_at(payload, f"{at}.state")
    return Snapshot(
        title=title,
        body=body,
        state=State.MERGED if merged else State.CLOSED if status == "closed" else State.OPEN if status else None,
        status=" ".join(filter(None, (status, name_at(payload, f"{at}.state_reason")))) or None,
        labels=labels_at(payload, f"{at}.labels"),
        assignees=assignees_at(payload, f"{at}.assignees"),
        author=name_at(payload, f"{at}.user.login"),
        author_id=identity_at(payload, f"{at}.user.id"),
        url=address_at(payload, f"{at}.html_url"),
        created_at=time_at(payload, f"{at}.created_at"),
        updated_at=time_at(payload, f"{at}.updated_at"),
        closed_at=time_at(payload, f"{at}.closed_at"),
        commit=commit_at(payload, f"{at}.merge_commit_sha") if merged else None,
        closes=links.closed_keys(project, title, body, optional_text_at(payload, f"{at}.head.ref") or "")
        if at == "pull_request"
        else links.closed_keys(project, title, body)
        if pull
        else (),
    )


def comment_of(payload: Mapping[str, Any], at: str, *, prefix: str = "", deleted: bool = False) -> Comment:
    """The comment or review at a path."""
    object_at(payload, at)
    when = time_at(payload, f"{at}.submitted_at")
    return Comment(
        id=f"{prefix}{number_at(payload, f'{at}.id')}",
        body=body_at(payload, f"{at}.body"),
        author=name_at(payload, f"{at}.user.login"),
        author_id=identity_at(payload, f"{at}.user.id"),
        association=(name_at(payload, f"{at}.author_association") or "").lower() or None,
        url=address_at(payload, f"{at}.html_url"),
        created_at=time_at(payload, f"{at}.created_at") or when,
        updated_at=time_at(payload, f"{at}.updated_at") or when,
        deleted=deleted,
    )
