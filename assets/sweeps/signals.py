"""What happened to one issue, by its service's history: who gave it which label, assigned it, or moved it, and when.

An issue's own fields say what it has, not since when or from whom. One function per service; each reads the history
only as far as rules need it.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime
from urllib.parse import quote

from assets.context.tickets.apis import ApiError, Reader
from assets.sweeps.pages import all_pages
from core.payload import Flag, Moment, Needed, Objects, Payload, Text, parse
from core.rules import Kind, Signal
from core.tickets import Service
from core.tickets.fields import Label, Person
from core.tickets.jira import Changelog
from core.tickets.jira import Person as JiraPerson
from core.tickets.record import NAME_CHARACTERS

_ASSIGNED = re.compile(r"assigned to (@[\w.-]+(?:(?:, | and |, and )@[\w.-]+)*)")


class _GitHubEvent(Payload):
    """https://docs.github.com/rest/issues/events"""

    event: Text | None = None
    created_at: Moment = None
    actor: Person | None = None
    assigner: Person | None = None
    assignee: Person | None = None
    label: Label | None = None


class _GiteaEvent(Payload):
    """An entry of a timeline (https://docs.gitea.com/api). The body of a label's is "1" if it was added."""

    type: Text | None = None
    created_at: Moment = None
    user: Person | None = None
    body: Text | None = None
    label: Label | None = None
    assignee: Person | None = None
    removed_assignee: Flag | None = None


class _GitLabLabelEvent(Payload):
    """https://docs.gitlab.com/api/resource_label_events/"""

    action: Text | None = None
    created_at: Moment = None
    user: Person | None = None
    label: Label | None = None


class _GitLabNote(Payload):
    """A note that GitLab itself has written: it has no other history of assignments."""

    system: Flag | None = None
    body: Text | None = None
    created_at: Moment = None
    author: Person | None = None


class _JiraHistory(Changelog):
    created: Moment = None
    author: JiraPerson | None = None


class _JiraHistories(Payload):
    histories: Objects


class _JiraIssue(Payload):
    changelog: Needed[_JiraHistories]


def github(reader: Reader, project: str, key: str, kinds: Collection[Kind]) -> Iterator[Signal]:
    for item in all_pages(reader, f"/repos/{quote(project)}/issues/{key[1:]}/events?per_page=100"):
        event = parse(_GitHubEvent, item, "event")
        if event.event == "labeled" and event.label:
            yield _signal(event.created_at, event.actor, labels=event.label.name)
        elif event.event == "assigned" and event.assignee:
            yield _signal(event.created_at, event.assigner or event.actor, assigned=event.assignee.called)


def gitea(reader: Reader, project: str, key: str, kinds: Collection[Kind]) -> Iterator[Signal]:
    for item in all_pages(reader, f"/api/v1/repos/{quote(project)}/issues/{key[1:]}/timeline?limit=50"):
        event = parse(_GiteaEvent, item, "event")
        if event.type == "label" and event.label and event.body == "1":
            yield _signal(event.created_at, event.user, labels=event.label.name)
        elif event.type == "assignees" and event.assignee and not event.removed_assignee:
            yield _signal(event.created_at, event.user, assigned=event.assignee.called)


def gitlab(reader: Reader, project: str, key: str, kinds: Collection[Kind]) -> Iterator[Signal]:
    at = f"/api/v4/projects/{quote(project, safe='')}/issues/{key[1:]}"
    if Kind.LABELLED in kinds:
        for item in all_pages(reader, f"{at}/resource_label_events?per_page=100"):
            event = parse(_GitLabLabelEvent, item, "event")
            if event.action == "add" and event.label:
                yield _signal(event.created_at, event.user, labels=event.label.title or event.label.name)
    if Kind.ASSIGNED in kinds:
        for item in all_pages(reader, f"{at}/notes?per_page=100&sort=desc&order_by=created_at"):
            note = parse(_GitLabNote, item, "note")
            named = _ASSIGNED.match(note.body or "") if note.system else None
            for login in re.findall(r"@([\w.-]+)", named[1]) if named else ():
                yield _signal(note.created_at, note.author, assigned=login)


def jira(reader: Reader, project: str, key: str, kinds: Collection[Kind]) -> Iterator[Signal]:
    body = reader.get(f"/rest/api/2/issue/{quote(key)}?fields=summary&expand=changelog").body
    for item in parse(_JiraIssue, body, "issue").changelog.histories:
        history = parse(_JiraHistory, item, "history")
        actor = Person(login=history.author.called, id=history.author.id) if history.author else None
        for name in history.given("status"):
            yield _signal(history.created, actor).model_copy(update={"status": name[:NAME_CHARACTERS]})
        for name in history.given("labels"):
            yield _signal(history.created, actor, labels=name)
        for name in history.given("assignee"):
            yield _signal(history.created, actor, assigned=name)


HISTORIES: Mapping[str, Callable[[Reader, str, str, Collection[Kind]], Iterator[Signal]]] = {
    Service.GITHUB: github,
    Service.GITEA: gitea,
    Service.GITLAB: gitlab,
    Service.JIRA: jira,
}


def signals_of(
    reader: Reader, service: str, project: str, key: str, kinds: Collection[Kind], since: datetime
) -> list[Signal]:
    """What happened to an issue since then, the oldest first. An issue that is gone by now has no history. Raises
    `ApiError`, and `BadField` for an answer of another format."""
    try:
        found = [one for one in HISTORIES[service](reader, project, key, kinds) if one.at and one.at >= since]
    except ApiError as error:
        if error.status not in (404, 410):
            raise
        return []
    return sorted(found, key=lambda one: one.at or since)


def _signal(
    at: datetime | None, actor: Person | None, *, labels: str | None = None, assigned: str | None = None
) -> Signal:
    return Signal(
        labels=(labels[:NAME_CHARACTERS],) if labels else (),
        assigned=(assigned[:NAME_CHARACTERS],) if assigned else (),
        actor=actor.called if actor else None,
        actor_id=actor.id if actor else None,
        at=at,
    )
