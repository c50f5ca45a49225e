"""Tickets of GitHub, from its webhooks and REST API; Gitea's are nearly the same.

Payloads: https://docs.github.com/webhooks/webhook-events-and-payloads. Pure functions; they raise
`core.payload.BadField`.
"""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator

from core.payload import BadField, Flag, Moment, Needed, Number, Payload, Text
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
    """The merge state of a pull request."""

    merged: Flag | None = None
    merged_at: Moment = None


class _Branch(Payload):
    ref: Text | None = None


class Ticket(_Merge, ForgeTicket):
    """An issue or a pull request. Hand-written samples may lack the number, which identifies the ticket."""

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
    state: Name = None
    """Of a review."""
    in_reply_to_id: Number | None = None
    path: Text | None = None
    line: Number | None = None
    original_line: Number | None = None

    def comment(self, prefix: str = "", *, deleted: bool = False) -> Comment:
        """`prefix` makes its id different from those of other kinds of comments."""
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
    """The fields of all deliveries about tickets. `sender` is the actor. Only Gitea sends `changes`."""

    action: Text
    repository: Needed[Repository]
    sender: Person | None = None
    label: Label | None = None
    changes: _Changes | None = None


class IssueDelivery(Delivery):
    """`assignee` is whom GitHub reports as just assigned."""

    issue: Needed[Ticket]
    assignee: Person | None = None


class CommentDelivery(IssueDelivery):
    comment: Needed[Remark]


class PullRequestDelivery(Delivery):
    pull_request: Needed[Ticket]


class UnnumberedReview(Payload):
    """A review as Gitea sends it."""

    type: Name = None
    content: Body = ""


class UnnumberedReviewDelivery(PullRequestDelivery):
    review: UnnumberedReview | None = None


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
"""The events about tickets, and the models of their payloads."""


def change_of(event: str, delivery: IssueDelivery | PullRequestDelivery, service: Service) -> TicketChange:
    """The change of a ticket that a delivery reports. Raises `BadField` if the ticket has no number."""
    of_issue = isinstance(delivery, IssueDelivery)
    ticket = delivery.issue if isinstance(delivery, IssueDelivery) else delivery.pull_request
    kind = kind_of(ticket) if of_issue else Kind.PULL_REQUEST
    if ticket.number is None:
        raise BadField(f"{'issue' if of_issue else 'pull_request'}.number", "is missing")
    deleted = delivery.action == "deleted"
    comment = None
    if isinstance(delivery, ReviewDelivery):
        comment = delivery.review.comment("whole-review-") if delivery.review.body else None  # approvals may be empty
    elif isinstance(delivery, CommentDelivery):
        comment = delivery.comment.comment(deleted=deleted)
    elif isinstance(delivery, ReviewCommentDelivery):
        comment = delivery.comment.comment("review-", deleted=deleted)
    project = delivery.repository.full_name
    return TicketChange(
        service=service,
        project=project,
        key=f"#{ticket.number}",
        kind=kind,
        action=f"{event}.{delivery.action[:64]}",
        ticket=ticket.snapshot(kind, project),
        comment=comment,
        deleted=type(delivery) in (IssueDelivery, PullRequestDelivery) and delivery.action in _GONE,
    )


def kind_of(issue: Ticket) -> Kind:
    """The kind of a ticket in the list of issues: those that are pull requests have an object `pull_request`."""
    return Kind.ISSUE if issue.pull_request is None else Kind.PULL_REQUEST


def _state(status: str | None, merged: bool) -> State | None:
    if merged:
        return State.MERGED
    return State.CLOSED if status == "closed" else State.OPEN if status else None
