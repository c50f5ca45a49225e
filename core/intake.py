"""Accepts one delivery: stores its record, its event and its task in one transaction.

The gateway has already verified the delivery and normalised it to an intent. This module looks up only whether the
intent is about a configured source.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from psycopg import Connection

from core.eventlog.postgres import PostgresLog
from core.events import CHANGES, Event, task_id
from core.states import DeliveryState
from core.tasks import create_task, request_event
from core.tickets import TICKET_CHANGED, TicketChange

CHANGED = "penstock.source.changed"


@dataclass(frozen=True)
class Target:
    """Identifies the source that a delivery is about: by its name, by its "owner/name" on its forge (`repository`), or
    by a project that its tickets come from (`project`: service, and name there; one on a forge also sets
    `repository`)."""

    name: str | None = None
    repository: str | None = None
    project: tuple[str, str] | None = None

    def __str__(self) -> str:
        if self.repository is not None:
            return f"repository {self.repository}"
        if self.project is not None:
            return f"project {self.project[1]} of {self.project[0]}"
        return f"source {self.name}"


@dataclass(frozen=True)
class TaskIntent:
    """A request for work. The texts are cleaned and bounded."""

    target: Target
    title: str
    body: str = ""
    url: str | None = None
    author: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ChangeIntent:
    """A source has changed; `data` says how (`ref`, `before`, `after`, as far as known)."""

    target: Target
    data: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TicketIntent:
    """A ticket has changed; `task` is work on the same source that the change also requests."""

    target: Target
    change: TicketChange
    task: TaskIntent | None = None


@dataclass(frozen=True)
class NoIntent:
    """The delivery starts nothing; `reason` says why."""

    reason: str


Intent = TaskIntent | ChangeIntent | TicketIntent | NoIntent


@dataclass(frozen=True)
class Delivery:
    """`origin` is the kind of sender and `id` its id of the delivery; `kind` names what it reports, for display."""

    origin: str
    id: str
    kind: str
    body_sha256: bytes

    @property
    def event_id(self) -> str:
        return f"{self.origin}:{self.id}"


@dataclass(frozen=True)
class Receipt:
    """The outcome of a delivery; of a repeated one, that of the first. `same_body`: both have the same body."""

    event_id: str
    state: DeliveryState
    task_id: uuid.UUID | None
    reason: str | None
    duplicates: int
    same_body: bool

    @property
    def duplicate(self) -> bool:
        return self.duplicates > 0


class UnknownSource(LookupError):
    """The intent is about a source that is not configured; the message names it."""


def receive(
    connection: Connection[Any],
    log: PostgresLog,
    team_id: uuid.UUID,
    delivery: Delivery,
    intent: Intent,
    *,
    must_know_source: bool = False,
) -> Receipt:
    """Stores a delivery within the caller's transaction; it is durable once that has committed.

    A repeated delivery is counted on the first and changes nothing else, also when both arrive simultaneously (the
    second waits for the first to commit). A delivery about a source that is not configured is recorded as ignored or,
    with `must_know_source`, raises `UnknownSource` and records nothing.
    """
    source, state, reason = _decide(connection, intent)
    if must_know_source and source is None:
        raise UnknownSource(reason)
    identity = task_id(team_id, delivery.event_id) if state == DeliveryState.TASK else None
    row = connection.execute(
        "INSERT INTO deliveries (team_id, id, kind, state, reason, task_id, body_sha256) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s) "
        "ON CONFLICT (team_id, id) DO UPDATE SET duplicates = deliveries.duplicates + 1 "
        "RETURNING state, task_id, reason, duplicates, body_sha256 = %s",
        (team_id, delivery.event_id, delivery.kind, state, reason, identity, *(2 * (delivery.body_sha256,))),
    ).fetchone()
    assert row is not None  # noqa: S101  the statement inserts or updates
    receipt = Receipt(delivery.event_id, DeliveryState(row[0]), row[1], row[2], row[3], row[4])
    if receipt.duplicate or source is None:
        return receipt
    origin = f"/penstock/{delivery.origin}"
    work = intent.task if isinstance(intent, TicketIntent) else intent
    if isinstance(work, TaskIntent):
        create_task(
            connection,
            log,
            event=request_event(team_id, delivery.event_id, origin, source, title=work.title),
            source=source,
            title=work.title,
            body=work.body,
            url=work.url,
            author=work.author,
            options=work.options,
            ticket=_ticket(intent),
        )
    kind, data = _change(intent)
    if kind:
        event = Event(
            id=delivery.event_id,
            source=origin,
            type=kind,
            subject=source,
            teamid=team_id,
            data={"source": source, **data},
        )
        log.append_in(connection, CHANGES, [event])
    return receipt


def _ticket(intent: Intent) -> tuple[str, str, str] | None:
    if not isinstance(intent, TicketIntent):
        return None
    return intent.change.service, intent.change.project, intent.change.key


def _change(intent: Intent) -> tuple[str | None, Mapping[str, Any]]:
    """The type and data of the event for the topic of changes; the type is None if the intent needs none."""
    if isinstance(intent, ChangeIntent):
        return CHANGED, intent.data
    if isinstance(intent, TicketIntent):
        return TICKET_CHANGED, {"change": intent.change.model_dump(mode="json", exclude_none=True)}
    return None, {}


_FIND: tuple[tuple[str, bytes], ...] = (
    ("project", b"SELECT source FROM ticket_projects WHERE (service, project) = (%s, %s)"),
    ("repository", b"SELECT name FROM sources WHERE repository = %s"),
    ("name", b"SELECT name FROM sources WHERE name = %s"),
)
"""How a target's source is found: by the first of these fields that finds one."""


def _decide(connection: Connection[Any], intent: Intent) -> tuple[str | None, DeliveryState, str | None]:
    """The source's name and the delivery's state; or None, ignored, and why the delivery starts nothing."""
    if isinstance(intent, NoIntent):
        return None, DeliveryState.IGNORED, intent.reason
    starts_work = isinstance(intent, TaskIntent) or (isinstance(intent, TicketIntent) and intent.task is not None)
    for field_name, query in _FIND:
        key = getattr(intent.target, field_name)
        if key is not None:
            row = connection.execute(query, key if isinstance(key, tuple) else (key,)).fetchone()
            if row is not None:
                return str(row[0]), DeliveryState.TASK if starts_work else DeliveryState.CHANGE, None
    return None, DeliveryState.IGNORED, f"{intent.target} is not a configured source"
