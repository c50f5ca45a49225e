"""Turns what a service's API shows into the intents that its webhooks would have brought.

What an issue or comment is now is its change; that it was opened, labelled, assigned, moved or written since the last
sweep is what rules and commands apply to. Nothing here decides what was missed: see `assets.sweeps.store`.
"""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from assets.context.tickets.apis import Reader
from assets.sweeps.reviews import OwnPull, Said, read_reviews
from assets.sweeps.signals import signals_of
from core.commands import Command, find_commands
from core.follow_ups import Feedback
from core.intake import TicketIntent
from core.intents import about_ticket, signal_of
from core.payload import BadField, Needed, Number, Payload, parse
from core.repository_names import RepositoryId
from core.rules import Kind as RuleKind
from core.rules import Rules, Signal, mentioned
from core.tickets import TRACKERS, Comment, Kind, Service, Snapshot, TicketChange
from core.tickets.bitbucket import Repository as BitbucketRepository
from core.tickets.fields import Address, Person, Repository, repository_id
from core.tickets.github import Ticket

NAMESPACE = uuid.UUID("5f2d3f0e-7f0b-5b0a-9a51-0e1d8c2b7a64")
UNEDITED = timedelta(seconds=2)
"""A comment whose two times differ by no more was not edited since it was written."""
_HISTORIC = (RuleKind.LABELLED, RuleKind.ASSIGNED, RuleKind.TRANSITION)
"""The rules for which an issue's history must be read."""


@dataclass(frozen=True)
class Observed:
    """`id` is that of a delivery, the same whenever the same thing is observed."""

    intent: TicketIntent
    id: str


class _GitLabProject(Payload):
    id: Number
    web_url: Address = None


class _WithTicket(Payload):
    ticket: Needed[Ticket]


@dataclass
class Observer:
    """Reads one project, with `rules`. `since`: what happened before is not new. `identity` is the permanent id of its
    repository, by which webhooks name it too. `pulls` are Penstock's pull requests there, by their keys."""

    reader: Reader
    service: Service
    project: str
    since: datetime
    rules: Rules
    identity: RepositoryId | None = None
    pulls: Mapping[str, OwnPull] = field(default_factory=dict)
    _reviews: dict[str, list[Said]] = field(default_factory=dict)

    def observe(self, changes: Sequence[TicketChange], problems: list[str]) -> Iterator[Observed]:
        """What a page of changes shows. An issue whose history is in an unknown format is a problem, which is noted.
        Raises `ApiError`."""
        issues: dict[str, Snapshot] = {}
        for change in changes:
            try:
                if change.comment is not None:
                    yield self._comment(change, change.comment, issues)
                elif change.ticket is not None:
                    issues[change.key] = change.ticket
                    yield from self._ticket(change, change.ticket)
            except BadField as error:
                problems.append(f"{change.key}: {error}"[:300])

    def _ticket(self, change: TicketChange, ticket: Snapshot) -> Iterator[Observed]:
        change = change.model_copy(update={"action": "sweep.updated"})
        yield self._observed(about_ticket(change, self.identity), "changed", ticket.updated_at)
        if change.kind == Kind.PULL_REQUEST:
            yield from self._whole_reviews(change)
        if change.kind != Kind.ISSUE or ticket.hidden:
            return
        for signal in self._signals(change.key, ticket):
            intent = about_ticket(change, self.identity, signal, self.rules)
            if intent.task is not None and intent.task.happening is not None:
                yield self._observed(intent, intent.task.happening.what, signal.at)

    def _signals(self, key: str, ticket: Snapshot) -> list[Signal]:
        """What happened to an issue since then, the oldest first."""
        found = []
        if ticket.created_at is not None and ticket.created_at >= self.since:
            author = Person(login=ticket.author, id=ticket.author_id) if ticket.author else None
            found.append(signal_of(ticket, author, opened=True))
        kinds = [kind for kind in _HISTORIC if self.rules.wants(kind, service=self.service, project=self.project)]
        if kinds:
            found += signals_of(self.reader, self.service, self.project, key, kinds, self.since)
        return found

    def _comment(self, change: TicketChange, comment: Comment, issues: dict[str, Snapshot]) -> Observed:
        """A new comment gives commands and mentions people. One that was edited since is not new: what it said at first
        is not known."""
        new = comment.created_at is not None and comment.created_at >= self.since and not _edited(comment)
        change = change.model_copy(update={"action": "sweep.created" if new else "sweep.updated"})
        signal = None
        if new and not comment.hidden and change.kind == Kind.ISSUE and _asks(comment.body):
            author = Person(login=comment.author, id=comment.author_id) if comment.author else None
            signal = signal_of(None, author, comment=comment)
            if self.rules.first(signal, self.service, self.project):
                issue = issues.get(change.key) or self._issue(change.key)
                change = change.model_copy(update={"ticket": issue})
        feedback = self._feedback(change.key, comment) if new and change.kind == Kind.PULL_REQUEST else None
        intent = about_ticket(change, self.identity, signal, self.rules, feedback)
        return self._observed(intent, f"comment {comment.id}", comment.updated_at)

    def _feedback(self, key: str, comment: Comment) -> Feedback | None:
        """What a comment on one of Penstock's pull requests asks for, if it is part of a review."""
        if self.service == Service.GITHUB and not comment.id.startswith("review-"):
            return None
        return next((said.feedback for said in self._said(key) if said.comment == comment.id), None)

    def _whole_reviews(self, change: TicketChange) -> Iterator[Observed]:
        """New reviews of one of Penstock's pull requests that lists of comments do not show."""
        for said in self._said(change.key):
            if said.comment is not None or said.at is None or said.at < self.since:
                continue
            if said.whole is not None:
                new = change.model_copy(update={"action": "sweep.submitted", "comment": said.whole})
                intent = about_ticket(new, self.identity, feedback=said.feedback)
                yield self._observed(intent, f"comment {said.whole.id}", said.whole.updated_at)
            elif said.feedback is not None:
                intent = about_ticket(change, self.identity, feedback=said.feedback)
                yield self._observed(replace(intent, searchable=False), said.name, said.at)

    def _said(self, key: str) -> list[Said]:
        pull = self.pulls.get(key)
        if pull is None:
            return []
        if key not in self._reviews:
            self._reviews[key] = read_reviews(self.reader, self.service, self.project, pull)
        return self._reviews[key]

    def _issue(self, key: str) -> Snapshot:
        """An issue of GitHub or Gitea; other services show a comment with its issue."""
        prefix = "/api/v1" if self.service == Service.GITEA else ""
        body = self.reader.get(f"{prefix}/repos/{quote(self.project)}/issues/{key[1:]}").body
        return parse(_WithTicket, {"ticket": body}).ticket.snapshot(Kind.ISSUE, self.project)

    def _observed(self, intent: TicketIntent, what: str, at: datetime | None) -> Observed:
        return Observed(intent, identity_of(self.service, self.project, intent.change.key, what, at))


def identity_of(*parts: Any) -> str:
    """The id of the delivery that stands for what was observed."""
    return str(uuid.uuid5(NAMESPACE, "\n".join(str(part) for part in parts)))


def repository_of(reader: Reader, service: str, project: str) -> RepositoryId | None:
    """The permanent id of a project's repository; trackers' projects have none. Raises `ApiError`, `BadField`."""
    if service in TRACKERS:
        return None
    if service == Service.GITLAB:
        body = reader.get(f"/api/v4/projects/{quote(project, safe='')}").body
        found = parse(_GitLabProject, body, "project")
        return repository_id(service, found.id, found.web_url)
    if service == Service.BITBUCKET:
        body = reader.get(f"/2.0/repositories/{quote(project)}").body
        return parse(BitbucketRepository, body, "repository").identity()
    prefix = "/api/v1" if service == Service.GITEA else ""
    body = reader.get(f"{prefix}/repos/{quote(project)}").body
    return parse(Repository, body, "repository").identity(service)


def _edited(comment: Comment) -> bool:
    first, last = comment.created_at, comment.updated_at
    return first is not None and last is not None and last - first > UNEDITED


def _asks(text: str | None) -> bool:
    """Whether a comment says something that rules look at."""
    return bool(mentioned(text)) or Command.START in find_commands(text or "")
