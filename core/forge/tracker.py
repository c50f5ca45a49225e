"""Results at a place where tickets are, but no code: an issue tracker, or a channel of a chat.

Such a place gets the status comment, reports, answers, a link to what was published and a new status; never a patch.
Each adapter finds and writes what it is asked to, once; `TrackerForge` decides, and does nothing twice.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from core.forge.protocol import Publication, PublicationRefused
from core.forge.texts import quiet


@dataclass(frozen=True)
class Said:
    """A comment of ours: `text` is what was written, in Markdown; None if the place does not say."""

    id: str
    url: str
    text: str | None = None


@dataclass(frozen=True)
class Action:
    """What a person can do about a comment by one click, where the place has buttons: a command of `core.commands`."""

    command: str
    label: str


class Tracker(Protocol):
    """One project of a tracker. Tickets are named by their keys; a `mark` is the hidden name of one comment of ours.
    All methods raise `ForgeUnavailable` and `PublicationRefused`."""

    @property
    def target(self) -> str:
        """`<service>:<project>`."""

    @property
    def most_characters(self) -> int:
        """The longest text of a comment."""

    def check(self) -> None:
        """Asks for the project and the token's account."""

    def may_write(self, login: str, user_id: str | None, ticket: str | None) -> bool:
        """Whether this person may work on the ticket, by the service's answer of this moment."""

    def find(self, ticket: str, mark: str) -> Said | None:
        """The comment with this mark that the token's account wrote."""

    def write(self, ticket: str, mark: str, text: str, actions: tuple[Action, ...]) -> Said:
        """Adds a comment."""

    def edit(self, ticket: str, said: Said, mark: str, text: str, actions: tuple[Action, ...]) -> Said: ...

    def link(self, ticket: str, url: str, title: str) -> None:
        """Links the ticket to a page, at most once; does nothing where there are no links."""

    def status(self, ticket: str) -> str | None:
        """The name of the ticket's status; None where tickets have none."""

    def move(self, ticket: str, status: str) -> bool:
        """Gives the ticket the status of this name; returns whether its workflow has a way there now."""


class TrackerForge:
    """A tracker's project as a forge. `before_write` is called before each write, and may wait, or raise
    `ForgeUnavailable`."""

    def __init__(self, tracker: Tracker, *, before_write: Callable[[], None] = lambda: None) -> None:
        self._tracker = tracker
        self._before_write = before_write

    @property
    def target(self) -> str:
        return self._tracker.target

    def check(self) -> None:
        """Asks for the project and the token's account. Raises as the tracker does."""
        self._tracker.check()

    def publish(self, publication: Publication) -> str:
        raise PublicationRefused(f"{self.target} holds tickets, not code: no patch can be published there")

    def comment(self, publication: Publication) -> str:
        """Writes the report as a comment of its own, since it needs a person."""
        if publication.follow_up is not None:
            return publication.follow_up.url
        if publication.ticket is None:
            return f"task:{publication.task_id}"
        mark = f"report-{publication.task_id}-{publication.attempt}"
        retry = (Action("retry", "Try again"), Action("explain", "Explain"))
        return self._write(publication.ticket, mark, publication.report, retry) or publication.ticket

    def note(
        self, ticket: str, task_id: uuid.UUID, text: str, *, create: bool = True, actions: tuple[Action, ...] = ()
    ) -> str | None:
        """Makes `text` the one status comment of a task on its ticket: edits it in place, or writes it if `create`.
        Returns where it is, or None."""
        return self._write(ticket, f"status-{task_id}", text, actions, create=create)

    def answer(self, ticket: str, asked: uuid.UUID, text: str, thread: str | None = None) -> str:
        """Answers a command with one comment, and returns where it is."""
        return self._write(ticket, f"answer-{asked}", text) or ticket

    def ask(self, ticket: str, task_id: uuid.UUID, attempt: int, text: str) -> str:
        """Asks a question of an attempt in one comment, and returns where it is."""
        actions = (Action("retry", "Try again"), Action("explain", "Explain"), Action("stop", "Stop"))
        return self._write(ticket, f"question-{task_id}-{attempt}", text, actions) or ticket

    def may_write(self, login: str, user_id: str | None, ticket: str | None = None) -> bool:
        """Whether this person may work on the ticket now. Raises as the tracker does."""
        return self._tracker.may_write(login, user_id, ticket)

    def link(self, ticket: str, url: str, title: str) -> None:
        """Links the ticket to what was published. Raises as the tracker does."""
        self._before_write()
        self._tracker.link(ticket, url, title)

    def move(self, ticket: str, status: str) -> str:
        """Gives the ticket a status, if its workflow allows that; returns what became of it. Raises as the tracker
        does."""
        now = self._tracker.status(ticket)
        if now is None:
            return "tickets have no status there"
        if now.casefold() == status.casefold():
            return f"is {now}"
        self._before_write()
        return f"{now} -> {status}" if self._tracker.move(ticket, status) else f"no way from {now} to {status}"

    def _write(
        self, ticket: str, mark: str, text: str, actions: tuple[Action, ...] = (), *, create: bool = True
    ) -> str | None:
        wanted = shortened(quiet(text).strip(), self._tracker.most_characters)
        held = self._tracker.find(ticket, mark)
        if held is None and not create:
            return None
        if held is not None and held.text is not None and held.text.strip() == wanted:
            return held.url
        self._before_write()
        if held is None:
            return self._tracker.write(ticket, mark, wanted, actions).url
        return self._tracker.edit(ticket, held, mark, wanted, actions).url


def shortened(text: str, most: int) -> str:
    """At most `most` characters of a text, cut at the end of a line where that is possible, and said."""
    if len(text) <= most:
        return text
    cut = "\n\n… the rest is stored with the task."
    kept = text[: most - len(cut)]
    return (kept[: kept.rfind("\n") + 1] or kept).rstrip() + cut
