"""A task's states and trajectory as server-sent events, as they are written.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html. Each event's id is the reader's position, so
`Last-Event-ID` resumes without a gap or a repetition.
"""

import asyncio
import json
import re
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import psycopg
from anyio.to_thread import run_sync
from fastapi import APIRouter, Header, Response
from fastapi.responses import StreamingResponse
from psycopg.rows import dict_row

from core.access.sessions import is_open
from core.access.tokens import is_valid
from core.database import Database
from core.endings import read_ending
from core.states import CLOSED_TASK_STATES
from core.tasks import TaskNotFound
from core.timeline import describe
from gateway.callers import Caller
from gateway.problems import Refused, documented
from gateway.state import Gateway, TheCaller, TheGateway

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

router = APIRouter(tags=["tasks"])

POLL_SECONDS = 0.2
IDLE_POLL_SECONDS = 1.0
HEARTBEAT_SECONDS = 15.0
RECHECK_SECONDS = 30.0
"""How often it is checked that the reader's token is still valid. A stream of one that is not ends without `end`."""
MAX_STREAM_SECONDS = 3600.0
"""Then a stream ends without `end`; readers reconnect with `Last-Event-ID`."""
BATCH = 50


@dataclass(frozen=True)
class Position:
    """A reader's position: the last trajectory entry sent, and the last state sent with its attempt."""

    attempt: int = 0
    seq: int = -1
    task_attempt: int = 0
    state: str = ""

    def __str__(self) -> str:
        return f"{self.attempt}.{self.seq}.{self.task_attempt}.{self.state}"

    @classmethod
    def parse(cls, text: str | None) -> "Position":
        """Parses a `Last-Event-ID`. An unknown format means the beginning."""
        match = re.fullmatch(r"(\d{1,9})\.(-1|\d{1,18})\.(\d{1,9})\.([a-z]{0,20})", text or "", re.ASCII)
        return cls(int(match[1]), int(match[2]), int(match[3]), match[4]) if match else cls()


@dataclass(frozen=True)
class News:
    """The result of one poll: messages, the reader's position after them, whether there are more entries, and whether
    the task has ended."""

    messages: tuple[str, ...]
    position: Position
    more: bool
    ended: bool


def poll(database: Database, team: uuid.UUID, task_id: uuid.UUID, position: Position) -> News:
    """The task's state and the entries after `position`, from one query. Raises `TaskNotFound`."""
    with database.team(team) as connection, connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            "SELECT t.state, t.reason, t.attempt AS task_attempt, t.updated_at, e.* FROM tasks t "
            "LEFT JOIN LATERAL (SELECT attempt, seq, kind, body, at FROM trajectory WHERE task_id = t.id "
            "AND (attempt, seq) > (%s, %s) ORDER BY attempt, seq LIMIT %s) e ON true "
            "WHERE t.id = %s ORDER BY e.attempt, e.seq",
            (position.attempt, position.seq, BATCH, task_id),
        ).fetchall()
        if not rows:
            raise TaskNotFound(f"no task {task_id}")
        ending = read_ending(connection, task_id) if rows[0]["state"] in CLOSED_TASK_STATES else None
    first = rows[0]
    entries = [row for row in rows if row["seq"] is not None]
    more = len(entries) == BATCH
    closed = first["state"] in CLOSED_TASK_STATES and not more
    changed = (first["task_attempt"], first["state"]) != (position.task_attempt, position.state)
    messages = []

    def add_state() -> None:
        nonlocal position
        position = replace(position, task_attempt=first["task_attempt"], state=first["state"])
        data = {"state": first["state"], "reason": first["reason"], "attempt": first["task_attempt"]}
        messages.append(_message("state", position, {**data, "at": first["updated_at"].isoformat()}))

    if changed and first["state"] not in CLOSED_TASK_STATES:
        add_state()
    for row in entries:
        position = replace(position, attempt=row["attempt"], seq=row["seq"])
        data = {key: row[key] for key in ("attempt", "seq", "kind", "body")}
        data["text"] = describe(row["kind"], row["body"])
        messages.append(_message("entry", position, {**data, "at": row["at"].isoformat()}))
    if closed:
        if changed:
            add_state()
        told = {
            "publication": ending.publication if ending else None,
            "result": (ending.sentence() or None) if ending else None,
        }
        messages.append(_message("end", position, {"state": first["state"], "reason": first["reason"], **told}))
    return News(tuple(messages), position, more, closed)


def _message(event: str, position: Position, data: dict[str, Any]) -> str:
    return f"event: {event}\nid: {position}\ndata: {json.dumps(data)}\n\n"


@router.get(
    "/tasks/{task_id}/events",
    response_class=StreamingResponse,
    responses={
        200: {
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
            "description": "`state`, `entry`, `end`",
        },
        204: {"description": "The reader has received `end`; there is nothing more."},
        **documented(400, 401, 403, 404, 429, 503),
    },
)
async def stream_task(
    task_id: uuid.UUID,
    gateway: TheGateway,
    caller: TheCaller,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """The task's states and trajectory as they are written, until it is closed (event `end`)."""
    start = Position.parse(last_event_id)
    if gateway.open_streams >= gateway.max_streams:
        raise Refused(
            503, "streams-full", f"{gateway.max_streams} streams are open already", headers={"Retry-After": "5"}
        )
    gateway.open_streams += 1
    try:
        news = await run_sync(poll, gateway.database, caller.team_id, task_id, start, limiter=gateway.stream_threads)
    except BaseException:
        gateway.open_streams -= 1
        raise
    if news.ended and news.position == start:
        gateway.open_streams -= 1
        return Response(status_code=204)
    return EventStream(gateway, _follow(gateway, caller, task_id, news))


class EventStream(StreamingResponse):
    """An event stream that always frees its slot when it ends."""

    def __init__(self, gateway: Gateway, content: AsyncIterator[str]) -> None:
        super().__init__(
            content, media_type="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        )
        self._gateway = gateway

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        self._gateway.metrics.streams.inc()
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._gateway.open_streams -= 1
            self._gateway.metrics.streams.dec()


def still_valid(database: Database, caller: Caller) -> bool:
    """Whether the caller's token has been neither revoked nor expired since the gate saw it."""
    if caller.actor.kind != "token" and caller.session is None:
        return caller.until is None or time.time() < caller.until
    with database.team(caller.team_id) as connection:
        if caller.session is not None:
            return is_open(connection, caller.session)
        return is_valid(connection, uuid.UUID(caller.actor.id))


async def _follow(gateway: Gateway, caller: Caller, task_id: uuid.UUID, news: News) -> AsyncIterator[str]:
    yield "retry: 1000\n\n"
    started = sent = checked = time.monotonic()
    pause = POLL_SECONDS
    while True:
        for message in news.messages:
            yield message
            sent = time.monotonic()
        if news.ended or gateway.stopping.is_set() or time.monotonic() - started > MAX_STREAM_SECONDS:
            return
        if not news.more:
            pause = POLL_SECONDS if news.messages else min(pause * 1.25, IDLE_POLL_SECONDS)
            await asyncio.sleep(pause)
        if time.monotonic() - sent > HEARTBEAT_SECONDS:
            yield ": still here\n\n"
            sent = time.monotonic()
        try:
            if time.monotonic() - checked > RECHECK_SECONDS:
                checked = time.monotonic()
                if not await run_sync(still_valid, gateway.database, caller, limiter=gateway.stream_threads):
                    return
            news = await run_sync(
                poll, gateway.database, caller.team_id, task_id, news.position, limiter=gateway.stream_threads
            )
        except psycopg.OperationalError:
            return  # the reader reconnects and resumes; the status of this answer was sent already
