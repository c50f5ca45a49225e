"""What the platform does with one delivery: its record, its event and its task, in one transaction.

Where the delivery came from and whether it is genuine is the gateway's business; this module takes
an intent that is already normalised, and looks up only whether it is about a configured source.
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

CHANGED = "penstock.source.changed"


@dataclass(frozen=True)
class Target:
    """The source that a delivery is about: by its name, or by its "owner/name" on its forge."""

    name: str | None = None
    repository: str | None = None

    def __str__(self) -> str:
        return f"repository {self.repository}" if self.repository is not None else f"source {self.name}"


@dataclass(frozen=True)
class TaskIntent:
    """Work is asked for. The texts are cleaned and bounded."""

    target: Target
    title: str
    body: str = ""
    url: str | None = None
    author: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ChangeIntent:
    """A source has changed; `data` says how (`ref`, `before`, `after`, where they are known)."""

    target: Target
    data: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class NoIntent:
    """The delivery starts nothing, for this reason."""

    reason: str


Intent = TaskIntent | ChangeIntent | NoIntent


@dataclass(frozen=True)
class Delivery:
    """`origin` and `id` are the sender's kind and its id of the delivery; `kind` is what it tells, for people."""

    origin: str
    id: str
    kind: str
    body_sha256: bytes

    @property
    def event_id(self) -> str:
        return f"{self.origin}:{self.id}"


@dataclass(frozen=True)
class Receipt:
    """What became of a delivery. Of a repeated one, what became of the first; `same_body` compares the two."""

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
    """Takes a delivery in, within the caller's transaction; it is safe once that has committed.

    A repeated delivery is counted on the first and changes nothing else, also when both arrive at the
    same moment (the second waits for the first to commit). What is about no configured source is
    recorded as ignored, or, with `must_know_source`, raises `UnknownSource` and records nothing.
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
    if isinstance(intent, TaskIntent):
        create_task(
            connection,
            log,
            event=request_event(team_id, delivery.event_id, origin, source, title=intent.title),
            source=source,
            title=intent.title,
            body=intent.body,
            url=intent.url,
            author=intent.author,
            options=intent.options,
        )
    elif isinstance(intent, ChangeIntent):
        event = Event(
            id=delivery.event_id,
            source=origin,
            type=CHANGED,
            subject=source,
            teamid=team_id,
            data={"source": source, **intent.data},
        )
        log.append_in(connection, CHANGES, [event])
    return receipt


def _decide(connection: Connection[Any], intent: Intent) -> tuple[str | None, DeliveryState, str | None]:
    """The source's name, or None with the reason why the delivery starts nothing."""
    if isinstance(intent, NoIntent):
        return None, DeliveryState.IGNORED, intent.reason
    target = intent.target
    query, key = (
        ("SELECT name FROM sources WHERE repository = %s", target.repository)
        if target.repository is not None
        else ("SELECT name FROM sources WHERE name = %s", target.name)
    )
    row = connection.execute(query.encode(), (key,)).fetchone()
    if row is None:
        return None, DeliveryState.IGNORED, f"{target} is not a configured source"
    return str(row[0]), DeliveryState.TASK if isinstance(intent, TaskIntent) else DeliveryState.CHANGE, None
