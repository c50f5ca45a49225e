"""Tickets of Jira, from its webhooks and REST API (version 2 or 3).

Webhooks: https://developer.atlassian.com/cloud/jira/platform/webhooks/. Texts are wiki markup, or an Atlassian
document, of which the plain text is stored. Pure functions; they raise `core.payload.BadField`.
"""

import base64
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from core.payload import BadField, Count, Moment, Needed, Payload, Text, clean, cut_body, name_of, parse
from core.tickets.fields import Identity, Labels, Name, Title, label_names
from core.tickets.jira_document import plain_text
from core.tickets.record import BODY_BYTES, Comment, Kind, Service, Snapshot, State, TicketChange

_ISSUE_EVENTS = ("jira:issue_created", "jira:issue_updated", "jira:issue_deleted")
_COMMENT_EVENTS = ("comment_created", "comment_updated", "comment_deleted")
_KEY = re.compile(r"([A-Z][A-Z0-9_]{1,99})-([1-9]\d{0,11})")
_MOST_ITEMS = 100
_LONGEST_ITEM = 2000


def authorization(token: str) -> str:
    """The value of the header for a token: `user@example.org:TOKEN` of Cloud, or a personal one of Data Center."""
    if ":" in token:
        return f"Basic {base64.b64encode(token.encode()).decode()}"
    return f"Bearer {token}"


def _key(text: str) -> str:
    if not _KEY.fullmatch(text):
        raise ValueError("must be a key like PROJ-7")
    return text


def _moment_of_event(milliseconds: int | None) -> int | None:
    try:
        datetime.fromtimestamp((milliseconds or 0) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        raise ValueError("must be milliseconds since 1970") from None
    return milliseconds


def _text(value: Any) -> str:
    if value is not None and not isinstance(value, str | Mapping):
        raise ValueError(f"must be a string or a document, not {name_of(value)}")
    text = plain_text(value) if isinstance(value, Mapping) else value or ""
    return cut_body(clean(text), BODY_BYTES)


Words = Annotated[str, BeforeValidator(_text)]
"""A text: wiki markup, an Atlassian document, or missing."""


class Person(Payload):
    """A user. Jira Cloud has account ids, Data Center has keys and names."""

    account_id: Name = Field(default=None, alias="accountId")
    key: Name = None
    name: Name = None
    display_name: Name = Field(default=None, alias="displayName")

    @property
    def id(self) -> str | None:
        return self.account_id or self.key or self.name

    @property
    def called(self) -> str | None:
        return self.display_name or self.name


class _Category(Payload):
    key: Name = None


class _Status(Payload):
    name: Name = None
    category: _Category | None = Field(default=None, alias="statusCategory")


class Remark(Payload):
    """A comment. It is hidden if it is restricted to a role or group, or internal in a service desk."""

    id: Annotated[Identity, AfterValidator(lambda found: found or _missing())]
    body: Words = ""
    author: Person | None = None
    visibility: Any = None
    public: Any = Field(default=None, alias="jsdPublic")
    created: Moment = None
    updated: Moment = None

    def comment(self, *, deleted: bool = False) -> Comment:
        return Comment(
            id=self.id or "",
            body=self.body,
            author=self.author and self.author.display_name,
            author_id=self.author and self.author.id,
            hidden=self.visibility is not None or self.public is False,
            created_at=self.created,
            updated_at=self.updated,
            deleted=deleted,
        )


def _missing() -> str:
    raise ValueError("is missing")


class Fields(Payload):
    """An issue's fields. Events about comments carry only some. `security` means that the issue is restricted."""

    summary: Title | None = None
    description: Words = ""
    status: _Status | None = None
    labels: Labels = None
    assignee: Person | None = None
    reporter: Person | None = None
    creator: Person | None = None
    security: Any = None
    created: Moment = None
    updated: Moment = None
    resolved: Moment = Field(default=None, alias="resolutiondate")


class Issue(Payload):
    key: Annotated[Text, AfterValidator(_key)]
    resource: Any = Field(default=None, alias="self")
    fields: Fields | None = None

    @property
    def project(self) -> str:
        return self.key.rpartition("-")[0]

    def snapshot(self) -> Snapshot | None:
        fields = self.fields
        if fields is None:
            return None
        known = fields.model_fields_set
        category = fields.status and fields.status.category and fields.status.category.key
        assignee = fields.assignee and fields.assignee.display_name
        person = fields.reporter or fields.creator
        return Snapshot(
            title=fields.summary,
            body=fields.description if "description" in known else None,
            state=State.CLOSED if category == "done" else State.OPEN if category else None,
            status=fields.status and fields.status.name,
            labels=label_names(fields.labels) if "labels" in known else None,
            assignees=((assignee,) if assignee else ()) if "assignee" in known else None,
            author=person and person.display_name,
            author_id=person and person.id,
            url=self._address(),
            hidden=fields.security is not None if "security" in known else None,
            created_at=fields.created,
            updated_at=fields.updated,
            closed_at=fields.resolved,
        )

    def _address(self) -> str | None:
        """The issue's web page, derived from the address of its API resource: `https://HOST/CONTEXT/rest/api/...`."""
        resource = self.resource if isinstance(self.resource, str) else ""
        found = re.match(r"(https?://[A-Za-z0-9.:\[\]-]{1,300}(?:/[A-Za-z0-9._~-]{1,100})?)/rest/", resource)
        return f"{found[1]}/browse/{self.key}" if found else None

    def change(self, action: str) -> TicketChange:
        """A change of the issue itself, without a comment."""
        return TicketChange(
            service=Service.JIRA,
            project=self.project,
            key=self.key,
            kind=Kind.ISSUE,
            action=action,
            ticket=self.snapshot(),
        )


class _Item(Payload):
    field: Any = None
    former: Any = Field(default=None, alias="fromString")
    new: Any = Field(default=None, alias="toString")

    def names(self, value: Any) -> tuple[str, ...]:
        """The labels of a value, which separates them by spaces, or the one name that it holds."""
        text = clean(value[:_LONGEST_ITEM]) if isinstance(value, str) else ""
        return tuple(text.split()) if self.field == "labels" else (text,) if text else ()


class Changelog(Payload):
    """What one edit of an issue changed, as a webhook or the history of the issue reports it."""

    items: Annotated[
        list[_Item] | None, BeforeValidator(lambda found: found[:_MOST_ITEMS] if isinstance(found, list) else found)
    ] = None

    def given(self, field: str) -> tuple[str, ...]:
        """What a field (`status`, `labels`, `assignee`) got by this edit."""
        return tuple(
            name
            for item in self.items or ()
            if item.field == field
            for name in item.names(item.new)
            if name not in item.names(item.former)
        )


class Delivery(Payload):
    event: Text = Field(alias="webhookEvent")
    timestamp: Annotated[Count | None, AfterValidator(_moment_of_event)] = None
    kind: Name = Field(default=None, alias="issue_event_type_name")
    issue: Needed[Issue]
    comment: Remark | None = None
    user: Person | None = None
    changelog: Changelog | None = None

    def change(self) -> TicketChange:
        about_comment = self.event in _COMMENT_EVENTS
        if about_comment and self.comment is None:
            raise BadField("comment", "is missing")
        if not about_comment and self.issue.fields is None:
            raise BadField("issue.fields", "is missing")
        deleted = self.event == "comment_deleted"
        found = self.issue.change(f"{self.event.removeprefix('jira:')}{f' {self.kind[:64]}' if self.kind else ''}")
        return found.model_copy(
            update={
                "ticket": self._ticket_of_comment(found.ticket) if about_comment else found.ticket,
                "comment": self.comment and self.comment.comment(deleted=deleted),
                "deleted": self.event == "jira:issue_deleted",
                "moved_from": self._former_key(),
            }
        )

    def _ticket_of_comment(self, ticket: Snapshot | None) -> Snapshot | None:
        """The issue as an event about a comment reports it: its state at the time of the event, which may arrive late.

        Such events do not say who may see the issue. So its title and body are dropped, and an issue that is known
        only from such events cannot be found by its text.
        """
        if ticket is None:
            return None
        happened = None if self.timestamp is None else datetime.fromtimestamp(self.timestamp / 1000, UTC)
        moments = (ticket.updated_at, happened, self.comment and self.comment.updated)
        update: dict[str, Any] = {"updated_at": next(filter(None, moments), None)}
        if ticket.hidden is None:
            update |= {"title": None, "body": None}
        return ticket.model_copy(update=update)

    def _former_key(self) -> str | None:
        moved = None
        for item in (self.changelog and self.changelog.items) or ():
            if item.field == "Key" and item.former != self.issue.key:
                moved = item.former if isinstance(item.former, str) and _KEY.fullmatch(item.former) else None
        return moved


class Unclear(ValueError):
    """A payload names no event, and does not show what happened to which issue; the message says what is missing."""


_KINDS_OF_COMMENT = {
    "issue_commented": "comment_created",
    "issue_comment_edited": "comment_updated",
    "issue_comment_deleted": "comment_deleted",
}


def event_of(payload: Mapping[str, Any]) -> str | None:
    """The event that a payload reports. Automation rules and some editions of Data Center send no `webhookEvent`: then
    it follows from `issue_event_type_name`, or from what the payload holds. None if that does not say it either."""
    named, kind = payload.get("webhookEvent"), payload.get("issue_event_type_name")
    if isinstance(named, str) and named:
        return named
    comment = payload.get("comment")
    if isinstance(kind, str) and kind in _KINDS_OF_COMMENT:
        return _KINDS_OF_COMMENT[kind]
    if isinstance(kind, str) and kind.startswith("issue_"):
        return {"issue_created": _ISSUE_EVENTS[0], "issue_deleted": _ISSUE_EVENTS[2]}.get(kind, _ISSUE_EVENTS[1])
    if isinstance(payload.get("changelog"), Mapping):
        return _ISSUE_EVENTS[1]
    return "comment_created" if isinstance(comment, Mapping) else None


def change(payload: Mapping[str, Any]) -> TicketChange | None:
    """The change of a ticket that a webhook reports; None if it is not about a ticket. Raises as `delivery` does."""
    found = delivery(payload)
    return found.change() if found else None


def delivery(payload: Mapping[str, Any]) -> Delivery | None:
    """A webhook about a ticket; None for any other. Raises `Unclear` for a
    payload without `webhookEvent` that cannot be read, and `BadField` for a wrong field of any other."""
    event = event_of(payload)
    if event is None:
        raise Unclear("it has no webhookEvent, issue_event_type_name, comment or changelog to say what happened")
    if event not in (*_ISSUE_EVENTS, *_COMMENT_EVENTS):
        return None
    if payload.get("webhookEvent") == event:
        return parse(Delivery, payload)
    try:
        found = parse(Delivery, {**payload, "webhookEvent": event})
        found.change()
        return found
    except BadField as error:
        raise Unclear(f"it has no webhookEvent, and {error}") from error
