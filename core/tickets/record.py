"""One change of one ticket, as stored on the event log and produced by imports.

It holds everything that Penstock uses of the sender's payload, within limits; a field that was not sent is None. Not
for the services' own formats: each has a module of its own.
"""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

TICKET_CHANGED = "penstock.ticket.changed"
"""The type of the events on `penstock.changes` whose data is a `TicketChange`."""

TITLE_CHARACTERS = 500
BODY_BYTES = 64 << 10
MOST_LABELS = 60
MOST_ASSIGNEES = 20
NAME_CHARACTERS = 200


class Service(StrEnum):
    GITHUB = "github"
    GITLAB = "gitlab"
    GITEA = "gitea"
    BITBUCKET = "bitbucket"
    JIRA = "jira"
    LINEAR = "linear"
    SLACK = "slack"


TRACKERS = frozenset({"jira", "linear", "slack"})
"""The services whose projects hold tickets and are no repositories."""


class Kind(StrEnum):
    ISSUE = "issue"
    PULL_REQUEST = "pull request"


class State(StrEnum):
    OPEN = "open"
    CLOSED = "closed"
    MERGED = "merged"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Snapshot(_Record):
    """A ticket as it was at `updated_at`. `status` is the service's own name for its state.

    `hidden`: some people who may see the project may not see the ticket, so searches must not find it. `commit` is a
    pull request's merge commit, `closes` the keys of the tickets that its text says it closes.
    """

    title: str | None = Field(default=None, max_length=TITLE_CHARACTERS)
    body: str | None = None
    state: State | None = None
    status: str | None = Field(default=None, max_length=NAME_CHARACTERS)
    labels: tuple[str, ...] | None = None
    assignees: tuple[str, ...] | None = None
    author: str | None = Field(default=None, max_length=NAME_CHARACTERS)
    author_id: str | None = Field(default=None, max_length=NAME_CHARACTERS)
    url: str | None = None
    hidden: bool | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    closed_at: datetime | None = None
    commit: str | None = Field(default=None, max_length=64)
    closes: tuple[str, ...] | None = None


class Comment(_Record):
    """A comment as it was at `updated_at`. `id` is unique in its ticket and never reused.

    `association` is its author's relation to the project (`owner`, `member`, `collaborator`, ...), if the service
    reports it. Authors are compared by `author_id`, since several may have one name.
    """

    id: str = Field(min_length=1, max_length=NAME_CHARACTERS)
    body: str | None = None
    author: str | None = Field(default=None, max_length=NAME_CHARACTERS)
    author_id: str | None = Field(default=None, max_length=NAME_CHARACTERS)
    association: str | None = Field(default=None, max_length=NAME_CHARACTERS)
    url: str | None = None
    hidden: bool = False
    created_at: datetime | None = None
    updated_at: datetime | None = None
    deleted: bool = False


class TicketChange(_Record):
    """`project` is the repository (`owner/name`, lower case), or the key of Jira's project or Linear's team. `key` is
    the ticket's id in the project: `#12`, `!12` (GitLab's merge requests, Bitbucket's pull requests) or `PROJ-7`.
    `action` is the sender's name for the event.

    `deleted`: the ticket was deleted or moved to another project. `moved_from` is its former key, if it has changed.
    """

    service: Service
    project: str = Field(min_length=1, max_length=300)
    key: str = Field(min_length=1, max_length=NAME_CHARACTERS)
    kind: Kind
    action: str = Field(max_length=NAME_CHARACTERS)
    ticket: Snapshot | None = None
    comment: Comment | None = None
    deleted: bool = False
    moved_from: str | None = Field(default=None, max_length=NAME_CHARACTERS)
