"""State that the routes of one gateway share: settings, database, event log, secrets, metrics and shutdown flag."""

import threading
import uuid
from dataclasses import dataclass, field
from typing import Annotated

from anyio import CapacityLimiter
from fastapi import Depends, Request

from core.credentials import Credentials
from core.database import Database
from core.eventlog.postgres import PostgresLog
from core.settings import Settings
from gateway.metrics import Metrics

WORK_THREADS = 8
"""Requests that use the database simultaneously; further ones wait."""
STREAM_THREADS = 2
"""Threads that poll for all event streams together, so that streams never delay deliveries."""
MAX_STREAMS = 64

TEAM_KEY = "penstock.team"
"""Key of the caller's team in the ASGI scope, set by the token gate."""


@dataclass
class Gateway:
    settings: Settings
    database: Database
    log: PostgresLog
    credentials: Credentials
    metrics: Metrics = field(default_factory=Metrics)
    max_streams: int = MAX_STREAMS
    open_streams: int = 0
    stream_threads: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(STREAM_THREADS))
    stopping: threading.Event = field(default_factory=threading.Event)


def gateway_of(request: Request) -> Gateway:
    gateway = request.app.state.gateway
    assert isinstance(gateway, Gateway)  # noqa: S101  set by create_app
    return gateway


def team_of(request: Request) -> uuid.UUID:
    team = request.scope[TEAM_KEY]
    assert isinstance(team, uuid.UUID)  # noqa: S101  no request gets past the token gate without one
    return team


TheGateway = Annotated[Gateway, Depends(gateway_of)]
TheTeam = Annotated[uuid.UUID, Depends(team_of)]
