"""Projects of issue trackers, which the dialects of Jira and Linear show: tickets with comments, statuses and links."""

import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from deploy.fake_forge.accounts import Accounts, locked, now
from deploy.fake_forge.records import Invalid, NotFound, User, Write

ROLES = ("none", "read", "edit", "admin", "site")
"""From least to most."""
WAYS = {
    "To Do": ("In Progress",),
    "In Progress": ("To Do", "In Review"),
    "In Review": ("In Progress", "Done"),
    "Done": ("To Do",),
}
"""From each status to those that a ticket can get next, where there is a workflow."""


@dataclass
class Said:
    """A comment. `identity` is a client's own id for it, `properties` what programs keep with it."""

    id: int
    author: User
    body: str
    created: datetime
    updated: datetime
    identity: str = ""
    properties: dict[str, Any] = field(default_factory=dict)


@dataclass
class Ticket:
    id: int
    number: int
    key: str
    title: str
    body: str
    author: User
    created: datetime
    updated: datetime
    status: str = "To Do"
    labels: list[str] = field(default_factory=list)
    assignee: User | None = None
    comments: list[Said] = field(default_factory=list)
    links: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Address and title, by the id that makes a link one."""


@dataclass
class Board:
    """A project of the tracker; `roles` are those of people by login."""

    id: int
    key: str
    roles: dict[str, str] = field(default_factory=dict)
    tickets: list[Ticket] = field(default_factory=list)
    cloud: bool = True
    """Whether it is of Jira Cloud, or of Data Center."""

    def may(self, user: User | None, role: str) -> bool:
        held = self.roles.get(user.login, "none") if user else "none"
        return ROLES.index(held) >= ROLES.index(role)


class Boards(Accounts):
    """All boards, by key."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.boards: dict[str, Board] = {}

    def noted(self, action: str, board: Board, subject: object, user: User) -> None:
        self.writes.append(Write(action, board.key, str(subject), user.login, self.dialect, time.monotonic()))

    @locked
    def add_board(self, key: str, *, cloud: bool) -> Board:
        self.boards[key] = Board(next(self.ids), key, cloud=cloud)
        return self.boards[key]

    @locked
    def board(self, key: str) -> Board:
        if key not in self.boards:
            raise NotFound(key)
        return self.boards[key]

    @locked
    def add_ticket(self, board: Board, author: User, title: str, body: str) -> Ticket:
        number, at = len(board.tickets) + 1, now()
        made = Ticket(next(self.ids), number, f"{board.key}-{number}", title, body, author, at, at)
        board.tickets.append(made)
        return made

    @locked
    def ticket(self, key: str) -> tuple[Board, Ticket]:
        board = self.board(key.rpartition("-")[0])
        for ticket in board.tickets:
            if ticket.key == key:
                return board, ticket
        raise NotFound(key)

    @locked
    def say(
        self,
        board: Board,
        ticket: Ticket,
        author: User,
        body: str,
        properties: dict[str, Any] | None = None,
        identity: str = "",
    ) -> Said:
        made = Said(next(self.ids), author, body, now(), now(), identity, dict(properties or {}))
        ticket.comments.append(made)
        self.noted("ticket.comment", board, made.id, author)
        return made

    @locked
    def move(self, board: Board, ticket: Ticket, user: User, status: str, *, freely: bool = False) -> None:
        """Raises `Invalid` if the workflow has no such way, unless there is no workflow."""
        if not freely and status not in WAYS[ticket.status]:
            raise Invalid("status", f"{ticket.status} has no way to {status}")
        ticket.status, ticket.updated = status, now()
        self.noted("ticket.move", board, ticket.key, user)

    @locked
    def link(self, board: Board, ticket: Ticket, user: User, identity: str, url: str, title: str) -> None:
        ticket.links[identity] = (url, title)
        self.noted("ticket.link", board, ticket.key, user)
