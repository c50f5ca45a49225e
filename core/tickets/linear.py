"""Tickets of Linear, from its webhooks (https://linear.app/developers/webhooks).

Their objects are those of the types `...WebhookPayload` of Linear's published GraphQL schema. Texts are Markdown. Pure
functions; they raise `core.payload.BadField`.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from core.payload import Moment, Needed, Payload, Text, parse, shown
from core.tickets.fields import Address, Body, Label, Name, Title, label_names
from core.tickets.record import MOST_LABELS, Comment, Kind, Service, Snapshot, State, TicketChange

ACTIONS = ("create", "update", "remove")
_KEY = re.compile(r"([A-Z][A-Z0-9_]{0,29})-([1-9]\d{0,11})")
_CLOSED = ("completed", "canceled", "duplicate")
"""The types of states in which nothing is left to do."""


def _key(text: str) -> str:
    if not _KEY.fullmatch(text):
        raise ValueError("must be an identifier like ENG-7")
    return text


def _first(found: Any) -> Any:
    return found[:MOST_LABELS] if isinstance(found, list) else found


def _id(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9-]{1,64}", text):
        raise ValueError("must be an id")
    return text


Id = Annotated[Text, AfterValidator(_id)]


class Person(Payload):
    """A user of the workspace, or as an actor another program: then `kind` is not `user`."""

    id: Name = None
    name: Name = None
    kind: Text | None = Field(default=None, alias="type")

    @property
    def called(self) -> str | None:
        return self.name

    @property
    def is_user(self) -> bool:
        return self.kind in (None, "user")


class _Labelled(Label):
    id: Name = None


class _State(Payload):
    name: Name = None
    kind: Text = Field(default="", alias="type")


class Issue(Payload):
    key: Annotated[Text, AfterValidator(_key)] = Field(alias="identifier")
    title: Title
    url: Address = None

    @property
    def project(self) -> str:
        """The key of its team."""
        return self.key.rpartition("-")[0]

    def change(self, action: str) -> TicketChange:
        """A change of the issue, without what it is now."""
        return TicketChange(service=Service.LINEAR, project=self.project, key=self.key, kind=Kind.ISSUE, action=action)


class WholeIssue(Issue):
    description: Body = None
    state: _State
    labels: Annotated[list[_Labelled] | None, BeforeValidator(_first)] = None
    assignee: Person | None = None
    creator: Person | None = None
    former: Any = Field(default=None, alias="previousIdentifiers")
    created: Moment = Field(default=None, alias="createdAt")
    updated: Moment = Field(default=None, alias="updatedAt")
    completed: Moment = Field(default=None, alias="completedAt")
    canceled: Moment = Field(default=None, alias="canceledAt")

    def snapshot(self) -> Snapshot:
        assignee = self.assignee and self.assignee.name
        return Snapshot(
            title=self.title,
            body=self.description or "",
            state=State.CLOSED if self.state.kind in _CLOSED else State.OPEN,
            status=self.state.name,
            labels=label_names(list(self.labels or ())),
            assignees=(assignee,) if assignee else (),
            author=self.creator and self.creator.name,
            author_id=self.creator and self.creator.id,
            url=self.url,
            hidden=False,
            created_at=self.created,
            updated_at=self.updated,
            closed_at=self.completed or self.canceled,
        )


class Remark(Payload):
    """A comment. One on a document or a project's update has no issue."""

    id: Id
    body: Body = None
    issue: Issue | None = None
    user: Person | None = None
    created: Moment = Field(default=None, alias="createdAt")
    updated: Moment = Field(default=None, alias="updatedAt")

    def comment(self, url: str | None, *, deleted: bool) -> Comment:
        return Comment(
            id=self.id,
            body=self.body or "",
            author=self.user and self.user.name,
            author_id=self.user and self.user.id,
            url=url,
            created_at=self.created,
            updated_at=self.updated,
            deleted=deleted,
        )


class _Delivery(Payload):
    action: Text
    actor: Person | None = None
    url: Address = None
    was: Annotated[dict[str, Any], BeforeValidator(lambda found: {} if found is None else found)] = Field(
        default_factory=dict, alias="updatedFrom"
    )

    @property
    def by(self) -> Person | None:
        """The user who caused it; nobody if a program did."""
        return self.actor if self.actor and self.actor.is_user else None


class IssueDelivery(_Delivery):
    issue: Needed[WholeIssue] = Field(alias="data")

    def change(self) -> TicketChange:
        deleted = self.action == "remove"
        update = {"ticket": self.issue.snapshot(), "deleted": deleted, "moved_from": self._former_key()}
        return self.issue.change(f"Issue.{self.action}").model_copy(update=update)

    def given_labels(self) -> tuple[str, ...]:
        """The labels that it got by this update."""
        before = self.was.get("labelIds")
        held = self.issue.labels or ()
        return label_names([one for one in held if isinstance(before, list) and one.id not in before])

    def _former_key(self) -> str | None:
        """An issue that goes to another team gets another key."""
        former = self.issue.former
        if "teamId" not in self.was or not isinstance(former, list) or not former:
            return None
        last = former[-1]
        return last if isinstance(last, str) and _KEY.fullmatch(last) and last != self.issue.key else None


class CommentDelivery(_Delivery):
    remark: Needed[Remark] = Field(alias="data")

    def change(self) -> TicketChange | None:
        """None for a comment that is not on an issue. What else is known of the issue is its title."""
        issue = self.remark.issue
        if issue is None:
            return None
        snapshot = Snapshot(title=issue.title, url=issue.url, updated_at=self.remark.updated)
        comment = self.remark.comment(self.url, deleted=self.action == "remove")
        return issue.change(f"Comment.{self.action}").model_copy(update={"ticket": snapshot, "comment": comment})


def event_of(payload: Mapping[str, Any]) -> str:
    """What a payload reports, such as `Issue.update`."""
    return ".".join(shown(payload.get(name), 60) or "unknown" for name in ("type", "action"))


def delivery(payload: Mapping[str, Any]) -> IssueDelivery | CommentDelivery | None:
    """A webhook about an issue or a comment; None for any other."""
    if payload.get("action") not in ACTIONS:
        return None
    if payload.get("type") == "Issue":
        return parse(IssueDelivery, payload)
    return parse(CommentDelivery, payload) if payload.get("type") == "Comment" else None
