"""What every tracker must do, as checks that run against a real or fake one.

A `TrackerArena` opens the adapter on a project and does what people do there. Each check uses tickets of its own.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from core.conformance import require
from core.forge.tracker import Action, Tracker, TrackerForge

Check = Callable[["TrackerArena"], None]
PATCH = "https://git.example.org/acme/shop/pulls/7"


@dataclass(frozen=True)
class SeenTicket:
    """A ticket as its tracker has it: author and text of each comment, the addresses that it is linked to, its
    status; None where tickets have none."""

    comments: tuple[tuple[str, str], ...]
    links: tuple[str, ...] | None
    status: str | None


class TrackerArena(Protocol):
    """A project whose tickets begin with the status `To Do` and can come to `In Progress` from there, where there are
    statuses."""

    account: str
    """The author of the adapter's own comments, as `SeenTicket` shows it."""
    steady: tuple[str, str]
    """Name and id of a person who may work on tickets."""
    stranger: tuple[str, str]
    """Name and id of one who may read them only."""
    mentions: tuple[str, ...]
    """Texts that notify somebody there when they stand in a comment."""

    def open(self) -> Tracker:
        """A new adapter, as another process would open it."""

    def new_ticket(self) -> str:
        """The key of a new ticket."""

    def ticket(self, key: str) -> SeenTicket: ...

    def say(self, ticket: str, text: str) -> None:
        """A person comments."""


def check_one_status_comment_is_edited_in_place(arena: TrackerArena) -> None:
    ticket, task = arena.new_ticket(), uuid.uuid4()
    first = TrackerForge(arena.open()).note(ticket, task, "Penstock is working on this issue.")
    for _ in range(2):
        again = TrackerForge(arena.open()).note(ticket, task, "Penstock proposes a **patch**.")
    comments = arena.ticket(ticket).comments
    require(len(comments) == 1, f"one comment, not {len(comments)}")
    require(comments[0][0] == arena.account, f"it is the account's own, not {comments[0][0]}'s")
    require("patch" in comments[0][1] and "working" not in comments[0][1], f"it has the new text: {comments[0][1]!r}")
    require(first == again and bool(first), "its address stays the same")


def check_nothing_is_begun_without_news(arena: TrackerArena) -> None:
    ticket = arena.new_ticket()
    held = TrackerForge(arena.open()).note(ticket, uuid.uuid4(), "Queued.", create=False)
    require(held is None and not arena.ticket(ticket).comments, "no comment is begun")


def check_comments_are_told_apart(arena: TrackerArena) -> None:
    ticket, task, other, asked = arena.new_ticket(), uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    for _ in range(2):
        forge = TrackerForge(arena.open())
        forge.note(ticket, task, "One task.")
        forge.note(ticket, other, "Another task.")
        forge.answer(ticket, asked, "An answer.")
    texts = sorted(text.strip() for _, text in arena.ticket(ticket).comments)
    require(len(texts) == 3, f"three comments, not {texts}")


def check_a_copied_comment_is_not_taken_for_ours(arena: TrackerArena) -> None:
    ticket, task = arena.new_ticket(), uuid.uuid4()
    TrackerForge(arena.open()).note(ticket, task, "Ours.")
    [(_, text)] = arena.ticket(ticket).comments
    arena.say(ticket, text)
    TrackerForge(arena.open()).note(ticket, task, "Ours, edited.")
    texts = [text for _, text in arena.ticket(ticket).comments]
    require(len(texts) == 2, f"two comments, not {len(texts)}")
    require(sum("edited" in text for text in texts) == 1, f"only ours is edited: {texts}")


def check_markdown_keeps_its_meaning(arena: TrackerArena) -> None:
    ticket = arena.new_ticket()
    text = "# Heading\n\nA `code_span` and **bold**.\n\n```python\nx = {1: 2}\n```\n\n- one\n- two\n\n[page](https://example.org/a?b=c)"
    TrackerForge(arena.open()).note(ticket, uuid.uuid4(), text)
    [(_, shown)] = arena.ticket(ticket).comments
    for part in ("Heading", "code_span", "bold", "x = {1: 2}", "one", "two", "https://example.org/a?b=c"):
        require(part in shown, f"{part!r} is lost: {shown!r}")


def check_nobody_is_mentioned(arena: TrackerArena) -> None:
    ticket = arena.new_ticket()
    TrackerForge(arena.open()).note(ticket, uuid.uuid4(), f"For {' '.join(arena.mentions)}: see above.")
    [(_, shown)] = arena.ticket(ticket).comments
    for mention in arena.mentions:
        require(mention not in shown, f"{mention!r} is passed on: {shown!r}")


def check_long_texts_are_cut(arena: TrackerArena) -> None:
    ticket = arena.new_ticket()
    tracker = arena.open()
    TrackerForge(tracker).note(ticket, uuid.uuid4(), "A line of a long report.\n" * (tracker.most_characters // 20))
    [(_, shown)] = arena.ticket(ticket).comments
    require("the rest is stored with the task" in shown, "a text that is cut says so")


def check_a_page_is_linked_once(arena: TrackerArena) -> None:
    ticket = arena.new_ticket()
    for _ in range(2):
        TrackerForge(arena.open()).link(ticket, PATCH, "Penstock's patch")
    links = arena.ticket(ticket).links
    require(links is None or links == (PATCH,), f"one link: {links}")


def check_a_ticket_is_moved_along_its_workflow(arena: TrackerArena) -> None:
    ticket = arena.new_ticket()
    if arena.ticket(ticket).status is None:
        require(arena.open().status(ticket) is None, "there are no statuses")
        return
    for _ in range(2):
        TrackerForge(arena.open()).move(ticket, "in progress")
        require(arena.ticket(ticket).status == "In Progress", f"it is {arena.ticket(ticket).status}")
    TrackerForge(arena.open()).move(ticket, "No Such Status")
    require(arena.ticket(ticket).status == "In Progress", "a status that there is no way to changes nothing")


def check_who_may_work_is_asked(arena: TrackerArena) -> None:
    ticket = arena.new_ticket()
    require(arena.open().may_write(*arena.steady, ticket), "a member may")
    require(not arena.open().may_write(*arena.stranger, ticket), "a stranger may not")
    require(not arena.open().may_write("nobody", "no-such-id", ticket), "nor somebody unknown")
    require(not arena.open().may_write("nobody", None, ticket), "nor somebody without an id")


def check_buttons_say_what_can_be_done(arena: TrackerArena) -> None:
    ticket = arena.new_ticket()
    TrackerForge(arena.open()).note(ticket, uuid.uuid4(), "It waits.", actions=(Action("approve", "Approve"),))
    require(len(arena.ticket(ticket).comments) == 1, "one comment, with or without buttons")


CHECKS: tuple[Check, ...] = (
    check_one_status_comment_is_edited_in_place,
    check_nothing_is_begun_without_news,
    check_comments_are_told_apart,
    check_a_copied_comment_is_not_taken_for_ours,
    check_markdown_keeps_its_meaning,
    check_nobody_is_mentioned,
    check_long_texts_are_cut,
    check_a_page_is_linked_once,
    check_a_ticket_is_moved_along_its_workflow,
    check_who_may_work_is_asked,
    check_buttons_say_what_can_be_done,
)
