"""One ticket and its states."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum


class Status(Enum):
    NEW = "new"
    OPEN = "open"
    WAITING = "waiting"
    SOLVED = "solved"
    CLOSED = "closed"


ALLOWED = {
    Status.NEW: {Status.OPEN, Status.SOLVED, Status.CLOSED},
    Status.OPEN: {Status.WAITING, Status.SOLVED},
    Status.WAITING: {Status.OPEN, Status.SOLVED},
    Status.SOLVED: {Status.OPEN, Status.CLOSED},
    Status.CLOSED: set(),
}

REOPEN = timedelta(days=7)
"""For so long after it was solved, a customer's reply opens a ticket again."""


class NotAllowed(Exception):
    """A change that the ticket's state forbids."""


@dataclass
class Ticket:
    number: int
    subject: str
    customer: str
    opened: datetime
    status: Status = Status.NEW
    agent: str | None = None
    tags: set = field(default_factory=set)
    replies: list = field(default_factory=list)
    solved_at: datetime | None = None

    @property
    def active(self):
        """Whether somebody still has to do something about it."""
        return self.status not in (Status.SOLVED, Status.CLOSED)

    def move(self, status, at):
        """Changes the state. Raises NotAllowed."""
        if status not in ALLOWED[self.status]:
            raise NotAllowed(f"ticket {self.number} cannot go from {self.status.value} to {status.value}")
        if status is Status.SOLVED and self.solved_at is None:
            self.solved_at = at
        self.status = status

    def reply(self, author, text, at):
        """Adds a reply. One of the customer opens a ticket again that waits or was solved not long ago.

        An agent's reply to a new or open ticket makes it wait for the customer. Raises NotAllowed where a customer
        replies too late, or anybody to a closed ticket.
        """
        if self.status is Status.CLOSED:
            raise NotAllowed(f"ticket {self.number} is closed")
        if author == self.customer:
            if self.status is Status.SOLVED and at - self.solved_at > REOPEN:
                raise NotAllowed(f"ticket {self.number} was solved too long ago: open a new one")
            if self.status in (Status.WAITING, Status.SOLVED):
                self.move(Status.OPEN, at)
        elif self.active:
            if self.status is Status.NEW:
                self.move(Status.OPEN, at)
            if self.status is Status.OPEN:
                self.move(Status.WAITING, at)
        self.replies.append((author, text, at))
