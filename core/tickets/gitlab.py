"""Tickets as GitLab tells of them: issues (`#12`), merge requests (`!12`) and their notes.

Webhooks: https://docs.gitlab.com/user/project/integrations/webhook_events/. REST:
https://docs.gitlab.com/api/issues/. Pure functions; they raise `core.payload.BadField`.
"""

from collections.abc import Mapping
from typing import Any

from core.payload import flag_at, number_at, object_at, optional_text_at, text_at, time_at, value_at
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

_STATES = {"opened": State.OPEN, "reopened": State.OPEN, "closed": State.CLOSED, "merged": State.MERGED}
_PLACES = {"issue": Kind.ISSUE, "work_item": Kind.ISSUE, "merge_request": Kind.PULL_REQUEST}
_NOTED = {"Issue": ("issue", Kind.ISSUE), "MergeRequest": ("merge_request", Kind.PULL_REQUEST)}


def key_of(kind: Kind, number: int) -> str:
    return f"{'#' if kind == Kind.ISSUE else '!'}{number}"


def change(payload: Mapping[str, Any]) -> TicketChange | None:
    """What a webhook tells of a ticket; None where it is about none."""
    what = text_at(payload, "object_kind")
    if what == "note":
        return _noted(payload)
    if what not in _PLACES:
        return None
    kind = _PLACES[what]
    project = repository_at(payload, "project.path_with_namespace")
    found = snapshot(payload, "object_attributes", kind, project)
    if found.author_id and found.author_id == identity_at(payload, "user.id"):
        found = found.model_copy(update={"author": name_at(payload, "user.username")})
    return TicketChange(
        service=Service.GITLAB,
        project=project,
        key=key_of(kind, number_at(payload, "object_attributes.iid")),
        kind=kind,
        action=f"{what}.{(name_at(payload, 'object_attributes.action') or 'update')[:64]}",
        ticket=found.model_copy(
            update={
                "labels": labels_at(payload, "labels", "title") if "labels" in payload else found.labels,
                "assignees": assignees_at(payload, "assignees", "username") if "assignees" in payload else None,
            }
        ),
    )


def _noted(payload: Mapping[str, Any]) -> TicketChange | None:
    where = _NOTED.get(text_at(payload, "object_attributes.noteable_type"))
    if where is None or flag_at(payload, "object_attributes.system"):
        return None
    place, kind = where
    project = repository_at(payload, "project.path_with_namespace")
    found = snapshot(payload, place, kind, project)
    return TicketChange(
        service=Service.GITLAB,
        project=project,
        key=key_of(kind, number_at(payload, f"{place}.iid")),
        kind=kind,
        action=f"note.{(name_at(payload, 'object_attributes.action') or 'create')[:64]}",
        ticket=found,
        comment=comment_of(payload, "object_attributes", "note").model_copy(
            update={
                "author": name_at(payload, "user.username"),
                "hidden": optional_text_at(payload, "event_type") == "confidential_note"
                or _is_internal(payload, "object_attributes"),
            }
        ),
    )


def snapshot(payload: Mapping[str, Any], at: str, kind: Kind, project: str) -> Snapshot:
    """The issue or merge request at a path, of a webhook or of the REST API."""
    title, body = title_at(payload, f"{at}.title"), body_at(payload, f"{at}.description")
    status = name_at(payload, f"{at}.state")
    pull = kind == Kind.PULL_REQUEST
    branch = optional_text_at(payload, f"{at}.source_branch") or ""
    labelled = isinstance(value_at(payload, f"{at}.labels"), list)
    return Snapshot(
        title=title,
        body=body,
        state=_STATES.get(status or ""),
        status=status,
        labels=labels_at(payload, f"{at}.labels", "title") if labelled else None,
        assignees=assignees_at(payload, f"{at}.assignees", "username")
        if value_at(payload, f"{at}.assignees") is not None
        else None,
        author=name_at(payload, f"{at}.author.username"),
        author_id=identity_at(payload, f"{at}.author_id") or identity_at(payload, f"{at}.author.id"),
        url=address_at(payload, f"{at}.url") or address_at(payload, f"{at}.web_url"),
        hidden=flag_at(payload, f"{at}.confidential") if value_at(payload, f"{at}.confidential") is not None else None,
        created_at=time_at(payload, f"{at}.created_at"),
        updated_at=time_at(payload, f"{at}.updated_at"),
        closed_at=time_at(payload, f"{at}.closed_at"),
        commit=commit_at(payload, f"{at}.merge_commit_sha") or commit_at(payload, f"{at}.squash_commit_sha"),
        closes=links.closed_keys(project, title, body, branch) if pull else (),
    )


def comment_of(payload: Mapping[str, Any], at: str, field: str = "body") -> Comment:
    """The note at a path; a webhook calls its text `note`, the REST API `body`."""
    object_at(payload, at)
    return Comment(
        id=str(number_at(payload, f"{at}.id")),
        body=body_at(payload, f"{at}.{field}"),
        author=name_at(payload, f"{at}.author.username"),
        author_id=identity_at(payload, f"{at}.author_id") or identity_at(payload, f"{at}.author.id"),
        url=address_at(payload, f"{at}.url"),
        hidden=_is_internal(payload, at),
        created_at=time_at(payload, f"{at}.created_at"),
        updated_at=time_at(payload, f"{at}.updated_at"),
    )


def _is_internal(payload: Mapping[str, Any], at: str) -> bool:
    """Notes that only members of the project see; the names of the field changed over time."""
    return any(value_at(payload, f"{at}.{name}") is True for name in ("internal", "confidential"))
