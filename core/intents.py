"""Intents that all services share: a task for an opened issue, a refresh for a push, the change of a ticket."""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator

from core.commands import Command, find_commands
from core.intake import ChangeIntent, Happening, Intent, NoIntent, Target, TaskIntent, TicketIntent
from core.payload import Flag, Payload, Text, parse
from core.repository_names import RepositoryId
from core.tickets import Service, Snapshot, TicketChange
from core.tickets.fields import Person

_WRITTEN = ("created", "create")
_BOT = re.compile(r"\[bot\]$|^(?:project|group)_\d+_bot", re.IGNORECASE)
"""GitHub's Apps, and GitLab's access tokens of projects and groups."""
_OWN_BRANCHES = "refs/heads/penstock/"


def starts_work(opened: bool, labels_given: Iterable[str], trigger_label: str | None) -> bool:
    """Whether an issue starts a task: when it is opened or, if there is a trigger label, when it gets that label."""
    if not trigger_label:
        return opened
    return trigger_label.casefold() in (label.casefold() for label in labels_given)


def happened(service: Service, key: str, opened: bool, trigger_label: str | None, issue: Snapshot) -> Happening:
    """What starts an issue's task: that it was opened or, if there is a trigger label, that it got the label. Its time
    is the same in the deliveries of all webhooks: of the opening, the issue's creation; else, its last change."""
    if trigger_label:
        return Happening(service, key, f"label {trigger_label.casefold()}", _since(opened, issue))
    return Happening(service, key, "opened", _since(True, issue))


def _since(opened: bool, issue: Snapshot) -> datetime | None:
    first, second = (issue.created_at, issue.updated_at) if opened else (issue.updated_at, issue.created_at)
    return first or second


def work_of(
    project: str,
    issue: Snapshot,
    repository: RepositoryId | None = None,
    happening: Happening | None = None,
    starter: Person | None = None,
) -> TaskIntent:
    """The task that an issue starts. `repository` is the permanent id of the project's repository, `starter` whoever
    opened or labelled the issue."""
    return TaskIntent(
        target=Target(repository=project, forge_id=repository),
        title=issue.title or "",
        body=issue.body or "",
        url=issue.url,
        author=issue.author,
        happening=happening,
        starter=(starter.called, starter.id) if starter else (None, None),
    )


def unlabelled(opened: bool, labels_given: Iterable[str], trigger_label: str | None) -> str | None:
    """Why an issue that was opened or labelled starts no task: it lacks the trigger label. None for other changes."""
    given = [label for label in labels_given if label]
    if not trigger_label or not (opened or given):
        return None
    found = f"label {given[0][:100]!r} is not it" if given else "it was opened without"
    return f"starts no task: issues need the label {trigger_label!r} for that, and {found}"


def about_ticket(
    change: TicketChange,
    work: TaskIntent | None = None,
    repository: RepositoryId | None = None,
    reason: str | None = None,
) -> TicketIntent:
    """A ticket's change. It belongs to the source that its project is linked to, or whose repository it is. `reason`
    says why it starts no task."""
    name = None if change.service == Service.JIRA else change.project
    target = Target(repository=name, project=(change.service, change.project), forge_id=repository)
    return TicketIntent(target, change, work, _commands(change), None if work else reason)


def _commands(change: TicketChange) -> tuple[Command, ...]:
    """The commands of a comment that was written just now by a person; later edits change nothing."""
    comment = change.comment
    written = change.action.rpartition(".")[2] in _WRITTEN
    if comment is None or not written or comment.hidden or comment.deleted or _BOT.search(comment.author or ""):
        return ()
    return find_commands(comment.body or "")


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
