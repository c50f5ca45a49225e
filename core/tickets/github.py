"""Tickets as GitHub tells of them, in webhooks and in its REST API; Gitea's are nearly the same.

Payloads: https://docs.github.com/webhooks/webhook-events-and-payloads. Pure functions; they raise
`core.payload.BadField`.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator

from core.payload import BadField, Flag, Moment, Needed, Number, Payload, Text, parse
from core.tickets import links
from core.tickets.fields import (
    Address,
    Body,
    Dated,
    ForgeTicket,
    Label,
    Labels,
    Name,
    Person,
    Repository,
    label_names,
    people_names,
)
from core.tickets.record import Comment, Kind, Service, Snapshot, State, TicketChange

_GONE = ("deleted", "transferred")


class _Merge(Payload):
    """What an issue that is a pull request tells of that."""

    merged: Flag | None = None
    merged_at: Moment = None


class _Branch(Payload):
    ref: Text | None = None


class Ticket(_Merge, ForgeTicket):
    """An issue or a pull request. Samples sent by hand may lack the number, which is needed to know it again."""

    number: Number | None = None
    body: Body = ""
    state_reason: Name = None
    user: Person | None = None
    html_url: Address = None
    head: _Branch | None = None
    pull_request: Annotated[_Merge | None, BeforeValidator(lambda found: found or None)] = None

    def snapshot(self, kind: Kind, project: str) -> Snapshot:
        pull = kind == Kind.PULL_REQUEST
        merge = self.pull_request or self
        merged = pull and bool(merge.merged_at or merge.merged)
        branch = (self.head and self.head.ref) or ""
        return Snapshot(
            title=self.title,
            body=self.body,
            state=_state(self.state, merged),
            status=" ".join(filter(None, (self.state, self.state_reason))) or None,
            labels=label_names(self.labels),
            assignees=people_names(self.assignees),
            author=self.user and self.user.called,
            author_id=self.user and self.user.id,
            url=self.html_url,
            created_at=self.created_at,
            updated_at=self.updated_at,
            closed_at=self.closed_at,
            commit=self.merge_commit_sha if merged else None,
            closes=links.closed_keys(project, self.title, self.body or "", branch) if pull else (),
        )


class Remark(Dated):
    """A comment or a review."""

    id: Number
    body: Body = ""
    user: Person | None = None
    author_association: Name = None
    html_url: Address = None
    issue_url: Text | None = None
    pull_request_url: Text | None = None
    submitted_at: Moment = None

    def comment(self, prefix: str = "", *, deleted: bool = False) -> Comment:
        """`prefix` sets its id apart from those of other kinds of comments."""
        return Comment(
            id=f"{prefix}{self.id}",
            body=self.body,
            author=self.user and self.user.called,
            author_id=self.user and self.user.id,
            association=(self.author_association or "").lower() or None,
            url=self.html_url,
            created_at=self.created_at or self.submitted_at,
            updated_at=self.updated_at or self.submitted_at,
            deleted=deleted,
        )


class _Changes(Payload):
    added_labels: Labels = None


class Delivery(Payload):
    """What all deliveries about tickets have; `changes` are Gitea's."""

    action: Text
    repository: Needed[Repository]
    label: Label | None = None
    changes: _Changes | None = None


class IssueDelivery(Delivery):
    issue: Needed[Ticket]


class CommentDelivery(IssueDelivery):
    comment: Needed[Remark]


class PullRequestDelivery(Delivery):
    pull_request: Needed[Ticket]


class ReviewCommentDelivery(PullRequestDelivery):
    comment: Needed[Remark]


class ReviewDelivery(PullRequestDelivery):
    review: Needed[Remark]


DELIVERIES: Mapping[str, type[IssueDelivery | PullRequestDelivery]] = {
    "issues": IssueDelivery,
    "issue_comment": CommentDelivery,
    "pull_request": PullRequestDelivery,
    "pull_request_review_comment": ReviewCommentDelivery,
    "pull_request_review": ReviewDelivery,
}
"""The events that are about a ticket."""


def change(event: str, payload: Mapping[str, Any], service: Service = Service.GITHUB) -> TicketChange | None:
    """What an event tells of a ticket; None for an event that is about none."""
    model = DELIVERIES.get(event)
    return None if model is None else change_of(event, parse(model, payload), service)


def change_of(event: str, told: IssueDelivery | PullRequestDelivery, service: Service = Service.GITHUB) -> TicketChange:
    """The same of a delivery that is parsed."""
    ticket = told.issue if isinstance(told, IssueDelivery) else told.pull_request
    kind = kind_of(ticket) if isinstance(told, IssueDelivery) else Kind.PULL_REQUEST
    if ticket.number is None:
        raise BadField(f"{'issue' if isinstance(told, IssueDelivery) else 'pull_request'}.number", "is missing")
    deleted = told.action == "deleted"
    comment = None
    if isinstance(told, ReviewDelivery):
        comment = told.review.comment("whole-review-") if told.review.body else None  # an approval without words
    elif isinstance(told, CommentDelivery):
        comment = told.comment.comment(deleted=deleted)
    elif isinstance(told, ReviewCommentDelivery):
        comment = told.comment.comment("review-", deleted=deleted)
    project = told.repository.full_name
    return TicketChange(
        service=service,
        project=project,
        key=f"#{ticket.number}",
        kind=kind,
        action=f"{event}.{told.action[:64]}",
        ticket=ticket.snapshot(kind, project),
        comment=comment,
        deleted=type(told) in (IssueDelivery, PullRequestDelivery) and told.action in _GONE,
    )


def kind_of(issue: Ticket) -> Kind:
    """Issues that are pull requests carry an object of that name."""
    return Kind.ISSUE if issue.pull_request is None else Kind.PULL_REQUEST


def _state(status: str | None, merged: bool) -> State | None:
    if merged:
        return State.MERGED
    return State.CLOSED if status == "closed" else State.OPEN if status else None
