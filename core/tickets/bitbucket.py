"""Tickets of Bitbucket Cloud, from its webhooks and REST API: pull requests (`!12`) and their comments.

Webhooks: https://support.atlassian.com/bitbucket-cloud/docs/event-payloads/. REST:
https://developer.atlassian.com/cloud/bitbucket/rest/. Bitbucket had issues too, until Atlassian withdrew them in August
2026. Pure functions; they raise `core.payload.BadField`.
"""

import uuid
from typing import Any

from pydantic import Field

from core.forge.texts import with_comment_mark
from core.payload import Flag, Moment, Needed, Number, Payload, Text
from core.repository_names import RepositoryId
from core.tickets import links
from core.tickets.fields import Address, Body, CommitId, Name, RepositoryName, Title, repository_id
from core.tickets.record import NAME_CHARACTERS, Comment, Kind, Service, Snapshot, State, TicketChange

_STATES = {"OPEN": State.OPEN, "MERGED": State.MERGED, "DECLINED": State.CLOSED, "SUPERSEDED": State.CLOSED}
_BOT = "[bot]"


class Link(Payload):
    href: Address = None


class Links(Payload):
    html: Link | None = None

    @property
    def page(self) -> str | None:
        return self.html.href if self.html else None


class Account(Payload):
    """Whoever did something. Several accounts may have one name, which each can change, so only `uuid` tells who it is.
    `type` is `user` for people; others are access tokens, apps and workspaces."""

    uuid: Name = None
    account_id: Name = None
    nickname: Name = None
    display_name: Name = None
    username: Name = None
    type: Name = None

    @property
    def id(self) -> str | None:
        return self.uuid or self.account_id

    @property
    def is_person(self) -> bool:
        return self.type in (None, "user")

    @property
    def called(self) -> str | None:
        """The name, with `[bot]` behind that of a program."""
        name = self.nickname or self.display_name or self.username
        if name is None or self.is_person:
            return name
        return f"{name[: NAME_CHARACTERS - len(_BOT)]}{_BOT}"


class Repository(Payload):
    """Its permanent id is a UUID in braces; its name changes with renames and transfers."""

    full_name: RepositoryName
    uuid: Any = None
    links: Any = None

    def identity(self) -> RepositoryId | None:
        """None if the id is missing or malformed: it is optional."""
        html = self.links.get("html") if isinstance(self.links, dict) else None
        address = html.get("href") if isinstance(html, dict) else None
        return repository_id(Service.BITBUCKET, number_of(self.uuid), address)


def number_of(identity: Any) -> int | None:
    """The id of a repository as a number below 2**63, as ids of other forges are: the last bits of its UUID, which are
    random."""
    if not isinstance(identity, str):
        return None
    try:
        return uuid.UUID(identity).int & (2**63 - 1)
    except ValueError:
        return None


class Content(Payload):
    raw: Body = ""


class _Branch(Payload):
    name: Text | None = None


class Commit(Payload):
    """Of pull requests, Bitbucket gives only the first twelve digits of a commit's id, which count as none."""

    hash: CommitId = None


class End(Payload):
    """The source or destination of a pull request. `repository` is null once a fork is deleted."""

    branch: _Branch | None = None
    repository: Any = None


class PullRequest(Payload):
    id: Number
    title: Title
    description: Body = ""
    state: Name = None
    author: Account | None = None
    source: End | None = None
    merge_commit: Commit | None = None
    created_on: Moment = None
    updated_on: Moment = None
    links: Links | None = None

    @property
    def branch(self) -> str:
        """The name of the branch it comes from; empty if it is not said."""
        found = self.source and self.source.branch
        return (found and found.name) or ""

    def snapshot(self, project: str) -> Snapshot:
        state = (self.state or "").upper()
        return Snapshot(
            title=self.title,
            body=with_comment_mark(self.description or ""),
            state=_STATES.get(state),
            status=state.lower() or None,
            labels=(),
            assignees=(),
            author=self.author and self.author.called,
            author_id=self.author and self.author.id,
            url=self.links and self.links.page,
            created_at=self.created_on,
            updated_at=self.updated_on,
            commit=self.merge_commit and self.merge_commit.hash,
            closes=links.closed_keys(project, self.title, self.description or "", self.branch),
        )


class Inline(Payload):
    """What a comment on code is about: a line of the new file (`to`) or, if it was removed, of the old one."""

    path: Text | None = None
    to: Number | None = None
    old: Number | None = Field(default=None, alias="from")


class Parent(Payload):
    id: Number


class Remark(Payload):
    """A comment on a pull request, or on a line of it. `parent` is the one it answers. A pending one is seen by its
    author alone."""

    id: Number
    content: Content | None = None
    user: Account | None = None
    inline: Inline | None = None
    parent: Parent | None = None
    deleted: Flag | None = None
    pending: Flag | None = None
    created_on: Moment = None
    updated_on: Moment = None
    links: Links | None = None

    @property
    def body(self) -> str:
        return with_comment_mark((self.content and self.content.raw) or "")

    def comment(self, *, deleted: bool = False) -> Comment:
        return Comment(
            id=str(self.id),
            body=self.body,
            author=self.user and self.user.called,
            author_id=self.user and self.user.id,
            url=self.links and self.links.page,
            hidden=bool(self.pending),
            created_at=self.created_on,
            updated_at=self.updated_on,
            deleted=deleted or bool(self.deleted),
        )


class Delivery(Payload):
    """The fields of all deliveries about pull requests. `actor` is null if that account was deleted."""

    repository: Needed[Repository]
    pullrequest: Needed[PullRequest]
    actor: Account | None = None

    def change(self, what: str) -> TicketChange:
        """`what` is the part of the event's key behind the colon."""
        return change_of(self.repository.full_name, self.pullrequest, f"pullrequest.{what[:64]}")


class CommentDelivery(Delivery):
    comment: Needed[Remark]

    def change(self, what: str) -> TicketChange:
        action = what.removeprefix("comment_")[:64]
        comment = self.comment.comment(deleted=action == "deleted")
        found = super().change(what)
        return found.model_copy(update={"action": f"comment.{action}", "comment": comment})


def change_of(project: str, pull: PullRequest, action: str) -> TicketChange:
    return TicketChange(
        service=Service.BITBUCKET,
        project=project,
        key=f"!{pull.id}",
        kind=Kind.PULL_REQUEST,
        action=action,
        ticket=pull.snapshot(project),
    )
