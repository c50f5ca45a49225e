"""Intents that all services share: the change of a ticket and the task that it starts, a refresh for a push.

The rules of `core.rules` are applied here, to webhooks and to what a sweep finds alike.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Annotated, Any, Protocol

from pydantic import AfterValidator

from core.answers import ANSWER_CHARACTERS
from core.commands import Command, find_commands, is_own, without_commands
from core.follow_ups import Feedback
from core.intake import ChangeIntent, Happening, Intent, NoIntent, Target, TaskIntent, TicketIntent
from core.payload import Flag, Payload, Text, parse
from core.repository_names import RepositoryId
from core.rules import Rules, Signal, mentioned
from core.spoken import without_quotations
from core.tickets import TRACKERS, Comment, Kind, Service, Snapshot, TicketChange
from core.tickets.fields import names
from core.tickets.record import MOST_ASSIGNEES, MOST_LABELS

NO_RULES = Rules(())

_WRITTEN = ("created", "create", "comment_created")
_BOT = re.compile(r"\[bot\]$|^(?:project|group)_\d+_bot", re.IGNORECASE)
"""GitHub's Apps, and GitLab's access tokens of projects and groups."""
_OWN_BRANCHES = "refs/heads/penstock/"


class Actor(Protocol):
    """Whoever caused an event, as any service reports them."""

    @property
    def called(self) -> str | None: ...

    @property
    def id(self) -> str | None: ...


def about_ticket(
    change: TicketChange,
    repository: RepositoryId | None = None,
    signal: Signal | None = None,
    rules: Rules = NO_RULES,
    feedback: Feedback | None = None,
) -> TicketIntent:
    """A ticket's change, with the task that it starts by the first of the rules that matches its signal. It belongs to
    the source that its project is linked to, or whose repository it is; `repository` is that one's permanent id.
    `feedback` is what a review says; a remark that gives other commands than `retry` is answered by them alone."""
    name = None if change.service in TRACKERS else change.project
    target = Target(repository=name, project=(change.service, change.project), forge_id=repository)
    commands, says = _commands(change), _says(change)
    if feedback is not None and commands == (Command.RETRY,):
        commands = ()  # what else the remark says is worked on, and answered in its thread
    if signal is None or not signal.says_something or change.kind != Kind.ISSUE or change.deleted:
        return TicketIntent(target, change, None, commands, feedback=None if commands else feedback, says=says)
    work = _work_of(change, target, signal, rules)
    reason = None if work else rules.unmatched(signal, change.service, change.project)
    return TicketIntent(target, change, work, commands, reason, signal=signal, says=says)


def _work_of(change: TicketChange, target: Target, signal: Signal, rules: Rules) -> TaskIntent | None:
    """The task; none for a ticket that some people may not see, or of which too little is known."""
    issue, comment = change.ticket, change.comment
    if issue is None or issue.hidden or issue.title is None or (comment is not None and comment.hidden):
        return None
    return work_of(replace(target, project=None), issue, signal, rules, change.service, change.key)


def work_of(
    target: Target, issue: Snapshot, signal: Signal, rules: Rules, service: Service, key: str | None
) -> TaskIntent | None:
    """The task that an issue starts by the first rule that matches; None if none does. Without `key`, which only
    samples written by hand lack, a repeat of the event is not recognised."""
    started = rules.first(signal, service, target.repository or (key or "").rpartition("-")[0])
    if started is None:
        return None
    return TaskIntent(
        target=target,
        title=issue.title or "",
        body=issue.body or "",
        url=issue.url,
        author=issue.author or signal.actor,
        happening=Happening(service, key, started[1], signal.at) if key else None,
        starter=(signal.actor, signal.actor_id),
        options={"kind": started[0].work} if started[0].work else {},
    )


def signal_of(
    issue: Snapshot | None,
    actor: Actor | None,
    *,
    opened: bool = False,
    labels: Iterable[str | None] = (),
    assigned: Iterable[str | None] = (),
    comment: Comment | None = None,
) -> Signal:
    """What a delivery reports. Its time is the same in the deliveries of all webhooks: of an issue that was opened, its
    creation; of a comment, that one's creation; else, the issue's last change."""
    first, second = (issue.created_at, issue.updated_at) if issue else (None, None)
    at = (first or second) if opened else (second or first)
    text = comment.body if comment else issue.body if issue and opened else None
    by_bot = is_bot(actor.called if actor else None)
    return Signal(
        opened=opened,
        labels=names(labels)[:MOST_LABELS],
        assigned=names(assigned)[:MOST_ASSIGNEES],
        mentioned=() if by_bot else mentioned(text),
        commanded=comment is not None and not by_bot and Command.START in find_commands(comment.body or ""),
        actor=actor.called if actor else None,
        actor_id=actor.id if actor else None,
        at=comment.created_at if comment else at,
        comment=comment.id if comment else None,
    )


def new_comment(change: TicketChange) -> Comment | None:
    """The comment, if the change reports that it was just written where everybody may read it."""
    comment = change.comment
    written = change.action.partition(" ")[0].rpartition(".")[2] in _WRITTEN
    return None if comment is None or not written or comment.hidden or comment.deleted else comment


def _commands(change: TicketChange) -> tuple[Command, ...]:
    """The commands of a comment that was written just now by a person; later edits change nothing."""
    comment = new_comment(change)
    return () if comment is None or is_bot(comment.author) else find_commands(comment.body or "")


def _says(change: TicketChange) -> str:
    """What a person says in a new comment on an issue, beside commands and quotations; empty for Penstock's own."""
    comment = new_comment(change)
    if comment is None or change.kind != Kind.ISSUE or is_bot(comment.author) or is_own(comment.body or ""):
        return ""
    return said_of(comment.body or "")


def said_of(text: str) -> str:
    """At most `ANSWER_CHARACTERS` of what a text says beside commands and quotations."""
    return without_quotations(without_commands(text[: 4 * ANSWER_CHARACTERS]))[:ANSWER_CHARACTERS]


def is_bot(login: str | None) -> bool:
    """Whether this account is a program's, by its name."""
    return bool(_BOT.search(login or ""))


def _commit(text: str) -> str:
    if not (40 <= len(text) <= 64 and all(letter in "0123456789abcdef" for letter in text)):
        raise ValueError("must be a commit id in hexadecimal")
    return text


def _short(text: str) -> str:
    if len(text) > 1024:
        raise ValueError("must be at most 1024 characters long")
    return text


class _Pushed(Payload):
    """The fields that show whether a push is about a branch."""

    ref: Text
    after: Text | None = None
    deleted: Flag | None = None


class _Branch(Payload):
    ref: Annotated[Text, AfterValidator(_short)]
    before: Annotated[Text, AfterValidator(_commit)]
    after: Annotated[Text, AfterValidator(_commit)]


def push(payload: Mapping[str, Any], target: Callable[[], Target]) -> Intent:
    """A refresh of the pushed source. Tags, deleted branches and Penstock's own branches start none. `target` is called
    last, so that the repository is only required for a refresh. Raises `BadField`."""
    pushed = parse(_Pushed, payload)
    ref = pushed.ref
    if not ref.startswith("refs/heads/"):
        return NoIntent(f"push of {ref[:200]} starts no work: it is not a branch")
    if pushed.deleted or (pushed.after and not pushed.after.strip("0")):
        return NoIntent(f"push starts no work: branch {ref[11:211]} was deleted")
    if ref.startswith(_OWN_BRANCHES):
        return NoIntent(f"push of {ref[:200]} starts no work: it is a branch of Penstock's own")
    branch = parse(_Branch, payload).model_dump()
    return ChangeIntent(target=target(), data=branch)
