"""An object's changes as server-sent events. The gateway holds the connections, so that an object that hibernates while
somebody watches costs no memory in any node."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

import psycopg
from anyio.to_thread import run_sync
from fastapi import APIRouter, Header, Response
from fastapi.responses import StreamingResponse

from core.access.errors import NotFound
from core.database import Database
from gateway.callers import Caller
from gateway.object_calls import key_in
from gateway.objects import Key, Kind
from gateway.problems import Refused, documented
from gateway.state import Gateway, TheCaller, TheGateway
from gateway.streams import (
    HEARTBEAT_SECONDS,
    IDLE_POLL_SECONDS,
    MAX_STREAM_SECONDS,
    POLL_SECONDS,
    RECHECK_SECONDS,
    EventStream,
    still_valid,
)
from objects.lifecycle import hidden

router = APIRouter(tags=["objects"])


@dataclass(frozen=True)
class Seen:
    """What an object is now; `position` is the event's id, by which a reader resumes."""

    incarnation: int
    version: int
    status: str
    state: str | None

    @property
    def position(self) -> str:
        return f"{self.incarnation}.{self.version}.{self.status}"

    def event(self) -> str:
        data = {"version": self.version, "status": self.status, "incarnation": self.incarnation}
        state = self.state if self.state is not None else "null"
        text = f'{json.dumps(data)[:-1]}, "state": {state}}}'
        name = "end" if self.status == "Terminated" else "state"
        return f"event: {name}\nid: {self.position}\ndata: {text}\n\n"


def look(database: Database, team: uuid.UUID, kind: str, key: str, known: str) -> Seen | None:
    """What the object is now; None if that is `known`. Raises `NotFound`."""
    with database.team(team) as connection:
        row = connection.execute(
            "SELECT incarnation, state_version, status, CASE WHEN incarnation || '.' || state_version || '.' || status "
            "<> %s AND NOT %s THEN state END FROM objects WHERE (type, key) = (%s, %s)",
            (known, hidden(kind), kind, key),
        ).fetchone()
    if row is None:
        raise NotFound(f"there is no object {kind[:63]}/{key}")
    seen = Seen(*row)
    return None if seen.position == known else seen


@router.get(
    "/objects/{type}/{key}/-/events",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "`state`, `end`"},
        **documented(400, 401, 403, 404, 429, 503),
    },
)
async def stream_object(
    type: Kind,
    key: Key,
    gateway: TheGateway,
    caller: TheCaller,
    last_event_id: Annotated[str | None, Header(max_length=100)] = None,
) -> Response:
    """The object's state, and again after each change of it, until it is terminated (event `end`). States between two
    looks are left out."""
    if gateway.open_streams >= gateway.max_streams:
        raise Refused(
            503, "streams-full", f"{gateway.max_streams} streams are open already", headers={"Retry-After": "5"}
        )
    key = key_in(key)
    known = (last_event_id or "").replace("\0", "")
    gateway.open_streams += 1
    try:
        seen = await run_sync(
            look, gateway.database, caller.team_id, type, key, known, limiter=gateway.stream_threads
        )  # fmt: skip
    except BaseException:
        gateway.open_streams -= 1
        raise
    return EventStream(gateway, _follow(gateway, caller, type, key, known, seen))


async def _follow(
    gateway: Gateway, caller: Caller, kind: str, key: str, known: str, seen: Seen | None
) -> AsyncIterator[str]:
    yield "retry: 1000\n\n"
    started = sent = checked = time.monotonic()
    pause = POLL_SECONDS
    while True:
        if seen is not None:
            yield seen.event()
            known, sent = seen.position, time.monotonic()
            if seen.status == "Terminated":
                return
        if gateway.stopping.is_set() or time.monotonic() - started > MAX_STREAM_SECONDS:
            return
        pause = POLL_SECONDS if seen is not None else min(pause * 1.25, IDLE_POLL_SECONDS)
        await asyncio.sleep(pause)
        if time.monotonic() - sent > HEARTBEAT_SECONDS:
            yield ": still here\n\n"
            sent = time.monotonic()
        try:
            if time.monotonic() - checked > RECHECK_SECONDS:
                checked = time.monotonic()
                if not await run_sync(still_valid, gateway.database, caller, limiter=gateway.stream_threads):
                    return
            seen = await run_sync(
                look, gateway.database, caller.team_id, kind, key, known, limiter=gateway.stream_threads
            )
        except (psycopg.OperationalError, NotFound):
            return  # the reader reconnects and resumes
