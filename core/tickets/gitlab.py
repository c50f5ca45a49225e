"""Tickets of GitLab, from its webhooks and REST API: issues (`#12`), merge requests (`!12`) and their notes.

Webhooks: https://docs.gitlab.com/user/project/integrations/webhook_events/. REST:
https://docs.gitlab.com/api/issues/. Pure functions; they raise `core.payload.BadField`.
"""

from collections.abc import Mapping
from typing import Any

from core.payload import BadField, Count, Flag, Needed, Number, Payload, Text, parse
from core.tickets import links
from core.tickets.fields import (
    Address,
    Body,
    CommitId,
    Dated,
    ForgeTicket,
    Identity,
    Labels,
    Name,
    People,
    Person,
    RepositoryName,
    label_names,
    people_names,
)
from core.tickets.record import Comment, Kind, Service, Snapshot, State, TicketChange

_STATES = {"opened": State.OPEN, "reopened": State.OPEN, "closed": State.CLOSED, "merged": State.MERGED}
KINDS = {"issue": Kind.ISSUE, "work_item": Kind.ISSUE, "merge_request": Kind.PULL_REQUEST}
_NOTED = {"Issue": ("issue", Kind.ISSUE), "MergeRequest": ("merge_request", Kind.PULL_REQUEST)}


class Project(Payload):
    path_with_namespace: RepositoryName


class Ticket(ForgeTicket):
    """An issue or merge request, from a webhook or the REST API."""

    iid: Number
    description: Body = ""
    action: Name = None
    author: Person | None = None
    author_id: Identity = None
    url: Address = None
    web_url: Address = None
    confidential: Flag | None = None
    source_branch: Text | None = None
    squash_commit_sha: CommitId = None
    user_notes_count: Count | None = None

    def snapshot(self, kind: Kind, project: str) -> Snapshot:
        pull = kind == Kind.PULL_REQUEST
        branch = self.source_branch or ""
        return Snapshot(
            title=self.title,
            body=self.description,
            state=_STATES.get(self.state or ""),
            status=self.state,
            labels=None if self.labels is None else label_names(self.labels),
            assignees=None if self.assignees is None else people_names(self.assignees),
            author=self.author and self.author.called,
            author_id=self.author_id or (self.author and self.author.id),
            url=self.url or self.web_url,
            hidden=self.confidential,
            created_at=self.created_at,
            updated_at=self.updated_at,
            closed_at=self.closed_at,
            commit=self.merge_commit_sha or self.squash_commit_sha,
            closes=links.closed_keys(project, self.title, self.description or "", branch) if pull else (),
        )


class Position(Payload):
    """What a note about code is about."""

    new_path: Text | None = None
    old_path: Text | None = None
    new_line: Number | None = None
    old_line: Number | None = None


class Note(Dated):
    """A comment. Webhooks call its text `note`, the REST API `body`. A note that only project members see is hidden;
    GitLab has renamed the field for that from `confidential` to `internal`."""

    id: Number
    note: Body = ""
    body: Body = ""
    noteable_type: Text | None = None
    action: Name = None
    system: Flag | None = None
    author: Person | None = None
    author_id: Identity = None
    url: Address = None
    internal: Flag | None = None
    confidential: Flag | None = None
    type: Name = None
    discussion_id: Name = None
    position: Position | None = None

    def comment(self) -> Comment:
        return Comment(
            id=str(self.id),
            body=self.note or self.body,
            author=self.author and self.author.called,
            author_id=self.author_id or (self.author and self.author.id),
            url=self.url,
            hidden=bool(self.internal or self.confidential),
            created_at=self.created_at,
            updated_at=self.updated_at,
        )


class _Changed(Payload):
    previous: Labels = None
    current: Labels = None


class _PeopleChanged(Payload):
    previous: People = None
    current: People = None


class _Changes(Payload):
    labels: _Changed | None = None
    assignees: _PeopleChanged | None = None


class Delivery(Payload):
    """The fields of all deliveries about tickets. `user` is the actor, not the author of the ticket."""

    object_kind: Text
    event_type: Text | None = None
    project: Needed[Project]
    user: Person | None = None


class TicketDelivery(Delivery):
    object_attributes: Needed[Ticket]
    labels: Labels = None
    assignees: People = None
    changes: _Changes | None = None

    @property
    def labels_given(self) -> tuple[str, ...]:
        """The labels that this event added to the ticket."""
        changed = self.changes and self.changes.labels
        if not changed:
            return ()
        before = set(label_names(changed.previous))
        return tuple(name for name in label_names(changed.current) if name not in before)

    @property
    def assigned(self) -> tuple[str, ...]:
        """Whom this event assigned the ticket to."""
        if self.object_attributes.action == "open":
            return people_names(self.assignees)
        changed = self.changes and self.changes.assignees
        if not changed:
            return ()
        before = set(people_names(changed.previous))
        return tuple(name for name in people_names(changed.current) if name not in before)

    def change(self) -> TicketChange:
        kind, project, ticket = KINDS[self.object_kind], self.project.path_with_namespace, self.object_attributes
        found = ticket.snapshot(kind, project)
        update: dict[str, Any] = {"assignees": None}
        if found.author_id and self.user and found.author_id == self.user.id:
            update["author"] = self.user.called
        if "labels" in self.model_fields_set:
            update["labels"] = label_names(self.labels)
        if "assignees" in self.model_fields_set:
            update["assignees"] = people_names(self.assignees)
        return TicketChange(
            service=Service.GITLAB,
            project=project,
            key=key_of(kind, ticket.iid),
            kind=kind,
            action=f"{self.object_kind}.{(ticket.action or 'update')[:64]}",
            ticket=found.model_copy(update=update),
        )


class NoteDelivery(Delivery):
    object_attributes: Needed[Note]
    issue: Ticket | None = None
    merge_request: Ticket | None = None

    def change(self, place: str, kind: Kind) -> TicketChange:
        ticket = self.issue if place == "issue" else self.merge_request
        if ticket is None:
            raise BadField(place, "is missing")
        note, project = self.object_attributes, self.project.path_with_namespace
        comment = note.comment()
        hidden = comment.hidden or self.event_type == "confidential_note"
        is_author = self.user is not None and comment.author_id in (None, self.user.id)  # others may edit it
        return TicketChange(
            service=Service.GITLAB,
            project=project,
            key=key_of(kind, ticket.iid),
            kind=kind,
            action=f"note.{(note.action or 'create')[:64]}",
            ticket=ticket.snapshot(kind, project),
            comment=comment.model_copy(
                update={"author": self.user.called if self.user and is_author else None, "hidden": hidden}
            ),
        )


class _NoteKind(Payload):
    noteable_type: Text
    system: Flag | None = None


class _AboutNote(Payload):
    """The subject of a note. Notes on commits and snippets are not parsed any further."""

    object_attributes: Needed[_NoteKind]


def key_of(kind: Kind, number: int) -> str:
    return f"{'#' if kind == Kind.ISSUE else '!'}{number}"


def change(payload: Mapping[str, Any]) -> TicketChange | None:
    """The change of a ticket that a webhook reports; None if it is not about a ticket."""
    kind = payload.get("object_kind")
    if kind == "note":
        about = parse(_AboutNote, payload).object_attributes
        where = None if about.system else _NOTED.get(about.noteable_type)
        return None if where is None else parse(NoteDelivery, payload).change(*where)
    return parse(TicketDelivery, payload).change() if isinstance(kind, str) and kind in KINDS else None
