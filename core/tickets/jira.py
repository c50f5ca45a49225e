"""Tickets as Jira tells of them, in webhooks and in its REST API (version 2 or 3).

Webhooks: https://developer.atlassian.com/cloud/jira/platform/webhooks/. Texts come as wiki markup, or
as an Atlassian document (https://developer.atlassian.com/cloud/jira/platform/apis/document/structure/)
of which the words are kept. Pure functions; they raise `core.payload.BadField`.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from core.payload import (
    BadField,
    clean,
    cut_body,
    name_of,
    object_at,
    objects_at,
    optional_number_at,
    text_at,
    time_at,
    value_at,
)
from core.tickets.fields import identity_at, labels_at, name_at, title_at
from core.tickets.record import BODY_BYTES, Comment, Kind, Service, Snapshot, State, TicketChange

_ISSUE_EVENTS = ("jira:issue_created", "jira:issue_updated", "jira:issue_deleted")
_COMMENT_EVENTS = ("comment_created", "comment_updated", "comment_deleted")
_KEY = re.compile(r"([A-Z][A-Z0-9_]{1,99})-([1-9]\d{0,11})")

_MOST_NODES = 20_000
_BLOCKS = frozenset({"paragraph", "heading", "codeBlock", "listItem", "blockquote", "tableRow", "hardBreak", "rule"})


def change(payload: Mapping[str, Any]) -> TicketChange | None:
    """What a webhook tells of a ticket; None where it is about none."""
    event = text_at(payload, "webhookEvent")
    if event not in (*_ISSUE_EVENTS, *_COMMENT_EVENTS):
        return None
    key = key_at(payload, "issue.key")
    moved = None
    for item in objects_at(payload, "changelog.items", 100):
        if item.get("field") == "Key" and (former := name_at(item, "fromString")) != key:
            moved = former if former and _KEY.fullmatch(former) else None
    about_comment = event in _COMMENT_EVENTS
    if not about_comment:
        object_at(payload, "issue.fields")
    kind = name_at(payload, "issue_event_type_name")
    return TicketChange(
        service=Service.JIRA,
        project=project_of(key),
        key=key,
        kind=Kind.ISSUE,
        action=f"{event.removeprefix('jira:')}{f' {kind[:64]}' if kind else ''}",
        ticket=_told_by_comment(payload) if about_comment else snapshot(payload, "issue"),
        comment=comment_of(payload, "comment", deleted=event == "comment_deleted")
        if about_comment or value_at(payload, "comment") is not None
        else None,
        deleted=event == "jira:issue_deleted",
        moved_from=moved,
    )


def _told_by_comment(payload: Mapping[str, Any]) -> Snapshot | None:
    """What an event about a comment tells of its issue: as it was when the event happened, which may come late.

    Such events leave out who may see the issue, so that an issue that is known by them alone has no words to find.
    """
    told = snapshot(payload, "issue")
    if told is None:
        return None
    moments = (told.updated_at, _happened(payload), time_at(payload, "comment.updated"))
    update: dict[str, Any] = {"updated_at": next(filter(None, moments), None)}
    if told.hidden is None:
        update |= {"title": None, "body": None}
    return told.model_copy(update=update)


def _happened(payload: Mapping[str, Any]) -> datetime | None:
    """The moment of an event, which is told in milliseconds since 1970."""
    stamp = optional_number_at(payload, "timestamp", least=0)
    try:
        return None if stamp is None else datetime.fromtimestamp(stamp / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        raise BadField("timestamp", "must be milliseconds since 1970") from None


def key_at(payload: Mapping[str, Any], path: str) -> str:
    """A key like `PROJ-7`. Raises `BadField`."""
    key = text_at(payload, path)
    if not _KEY.fullmatch(key):
        raise BadField(path, "must be a key like PROJ-7")
    return key


def project_of(key: str) -> str:
    return key.rpartition("-")[0]


def snapshot(payload: Mapping[str, Any], at: str) -> Snapshot | None:
    """The issue at a path. Events about comments may carry only some of its fields, or none."""
    fields = f"{at}.fields"
    if value_at(payload, fields) is None:
        return None
    category = name_at(payload, f"{fields}.status.statusCategory.key")
    told = object_at(payload, fields)
    person = "reporter" if value_at(payload, f"{fields}.reporter") is not None else "creator"
    assignee = name_at(payload, f"{fields}.assignee.displayName")
    return Snapshot(
        title=title_at(payload, f"{fields}.summary") if told.get("summary") is not None else None,
        body=text_of(payload, f"{fields}.description") if "description" in told else None,
        state=State.CLOSED if category == "done" else State.OPEN if category else None,
        status=name_at(payload, f"{fields}.status.name"),
        labels=labels_at(payload, f"{fields}.labels") if "labels" in told else None,
        assignees=((assignee,) if assignee else ()) if "assignee" in told else None,
        author=name_at(payload, f"{fields}.{person}.displayName"),
        author_id=_person(payload, f"{fields}.{person}"),
        url=_address(payload, at),
        hidden=value_at(payload, f"{fields}.security") is not None if "security" in told else None,
        created_at=time_at(payload, f"{fields}.created"),
        updated_at=time_at(payload, f"{fields}.updated"),
        closed_at=time_at(payload, f"{fields}.resolutiondate"),
    )


def comment_of(payload: Mapping[str, Any], at: str, *, deleted: bool = False) -> Comment:
    """The comment at a path. One for certain roles, or internal in a service desk, is hidden."""
    object_at(payload, at)
    identity = identity_at(payload, f"{at}.id")
    if identity is None:
        raise BadField(f"{at}.id", "is missing")
    restricted = value_at(payload, f"{at}.visibility") is not None or value_at(payload, f"{at}.jsdPublic") is False
    return Comment(
        id=identity,
        body=text_of(payload, f"{at}.body"),
        author=name_at(payload, f"{at}.author.displayName"),
        author_id=_person(payload, f"{at}.author"),
        hidden=restricted,
        created_at=time_at(payload, f"{at}.created"),
        updated_at=time_at(payload, f"{at}.updated"),
        deleted=deleted,
    )


def text_of(payload: Mapping[str, Any], path: str) -> str:
    """A text that is wiki markup, an Atlassian document, or missing."""
    value = value_at(payload, path)
    if value is None:
        return ""
    if isinstance(value, str):
        return cut_body(clean(value), BODY_BYTES)
    if isinstance(value, Mapping):
        return cut_body(clean(_words(value)), BODY_BYTES)
    raise BadField(path, f"must be a string or a document, not {name_of(value)}")


def _words(document: Mapping[str, Any]) -> str:
    """The words of a document, a line a block. However deep it is nested, and at most so many nodes."""
    found: list[str] = []
    waiting: list[Any] = [document]
    for _ in range(_MOST_NODES):
        if not waiting:
            break
        node = waiting.pop()
        if isinstance(node, str):
            found.append(node)
        elif isinstance(node, Mapping):
            text, content, kind = node.get("text"), node.get("content"), node.get("type")
            if isinstance(text, str):
                found.append(text)
            elif kind in ("mention", "emoji", "inlineCard"):
                attributes = node.get("attrs")
                named = attributes.get("text") or attributes.get("url") if isinstance(attributes, Mapping) else None
                found.append(named if isinstance(named, str) else "")
            if isinstance(kind, str) and kind in _BLOCKS:
                waiting.append("\n")
            if isinstance(content, list):
                waiting.extend(reversed(content[:_MOST_NODES]))
    return re.sub(r"\n{3,}", "\n\n", "".join(found)).strip()


def _person(payload: Mapping[str, Any], at: str) -> str | None:
    """Jira Cloud has account ids, Data Center has names."""
    return name_at(payload, f"{at}.accountId") or name_at(payload, f"{at}.key") or name_at(payload, f"{at}.name")


def _address(payload: Mapping[str, Any], at: str) -> str | None:
    """The page of an issue, from the address of its resource: `https://HOST/CONTEXT/rest/api/...`."""
    resource, key = value_at(payload, f"{at}.self"), value_at(payload, f"{at}.key")
    if not isinstance(resource, str) or not isinstance(key, str):
        return None
    found = re.match(r"(https?://[A-Za-z0-9.:\[\]-]{1,300}(?:/[A-Za-z0-9._~-]{1,100})?)/rest/", resource)
    return f"{found[1]}/browse/{key}" if found else None
