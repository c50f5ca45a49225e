"""What the webhooks of all forges ask alike: work for an issue opened, a refresh for a push, a ticket's change."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.intake import ChangeIntent, Intent, NoIntent, Target, TaskIntent, TicketIntent
from core.payload import BadField, flag_at, optional_text_at, text_at
from core.tickets import Service, TicketChange
from core.tickets.fields import address_at, body_at, name_at, repository_at, title_at

_OWN_BRANCHES = "refs/heads/penstock/"


@dataclass(frozen=True)
class Opened:
    """An issue that may start work: where its fields are in `payload`, and what has just happened to it."""

    payload: Mapping[str, Any]
    project: str
    title: str
    body: str
    url: str
    author: str
    opened: bool
    labels_given: tuple[str, ...] = ()


def work_of(issue: Opened, trigger_label: str | None) -> TaskIntent | None:
    """The work that an issue starts when it is opened, or with a trigger label when it is given that. Raises
    `BadField`."""
    wanted = trigger_label.casefold() if trigger_label else None
    given = [label.casefold() for label in issue.labels_given]
    if not (wanted in given if wanted else issue.opened):
        return None
    return TaskIntent(
        target=Target(repository=repository_at(issue.payload, issue.project)),
        title=title_at(issue.payload, issue.title),
        body=body_at(issue.payload, issue.body),
        url=address_at(issue.payload, issue.url),
        author=name_at(issue.payload, issue.author),
    )


def about_ticket(change: TicketChange, work: TaskIntent | None = None) -> TicketIntent:
    """A ticket's change, of the source that its project is linked to, or that stands for its repository."""
    repository = None if change.service == Service.JIRA else change.project
    return TicketIntent(Target(repository=repository, project=(change.service, change.project)), change, work)


def push(payload: Mapping[str, Any], repository: str) -> Intent:
    """A refresh of the pushed source; not for tags, deleted branches and branches of our own. Raises `BadField`."""
    ref = text_at(payload, "ref")
    if not ref.startswith("refs/heads/"):
        return NoIntent(f"push of {ref[:200]} starts no work: it is not a branch")
    after = optional_text_at(payload, "after")
    if flag_at(payload, "deleted") or (after and not after.strip("0")):
        return NoIntent(f"push starts no work: branch {ref[11:211]} was deleted")
    if ref.startswith(_OWN_BRANCHES):
        return NoIntent(f"push of {ref[:200]} starts no work: it is a branch of Penstock's own")
    if len(ref) > 1024:
        raise BadField("ref", "must be at most 1024 characters long")
    commits = {name: text_at(payload, name) for name in ("before", "after")}
    for name, commit in commits.items():
        if not (40 <= len(commit) <= 64 and all(c in "0123456789abcdef" for c in commit)):
            raise BadField(name, "must be a commit id in hexadecimal")
    return ChangeIntent(target=Target(repository=repository_at(payload, repository)), data={"ref": ref, **commits})
