"""What the routes of one gateway share: settings, database, event log, secrets, limits, metrics, shutdown flag."""

import threading
import uuid
from dataclasses import dataclass, field
from typing import Annotated

from anyio import CapacityLimiter
from fastapi import Depends, Request

from core.access.oidc import Issuer
from core.credentials import Credentials
from core.database import Database
from core.eventlog.postgres import PostgresLog
from core.settings import Settings
from gateway.callers import CALLER_KEY, Caller
from gateway.metrics import Metrics
from gateway.object_calls import ObjectCalls
from gateway.rates import RateLimit
from gateway.scrape import Scraper
from gateway.team_secrets import TeamWebhooks
from threads.cache import open_cache
from threads.service import ThreadService
from threads.summary import summary_by

WORK_THREADS = 8
"""Requests that use the database simultaneously; further ones wait."""
STREAM_THREADS = 2
"""Threads that poll for all event streams together, so that streams never delay deliveries."""
MAX_STREAMS = 64

SIGN_IN_RATE, SIGN_IN_BURST = 5.0, 100
"""Attempts to sign in and refreshes that one address may make: a second for long, and at once."""

OIDC_THREADS = 2
"""Threads that check tokens of people, so that an issuer that does not answer delays nobody else."""


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
    oidc_threads: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(OIDC_THREADS))
    webhook_limit: RateLimit = field(init=False)
    token_limit: RateLimit = field(init=False)
    sign_in_limit: RateLimit = field(init=False)
    team_webhooks: TeamWebhooks = field(init=False)
    scraper: Scraper = field(init=False)
    objects: ObjectCalls = field(init=False)
    issuer: Issuer | None = field(init=False, default=None)
    threads: ThreadService = field(init=False)

    def __post_init__(self) -> None:
        settings = self.settings
        self.webhook_limit = RateLimit(settings.webhook_rate, settings.webhook_burst)
        self.token_limit = RateLimit(settings.token_rate, settings.token_burst)
        self.sign_in_limit = RateLimit(SIGN_IN_RATE, SIGN_IN_BURST)
        self.objects = ObjectCalls(settings, self.database)
        self.scraper = Scraper(settings, self.database)
        self.threads = ThreadService(
            self.database,
            self.stopping.is_set,
            cache=open_cache(settings.thread_cache_url.get_secret_value() if settings.thread_cache_url else None),
            summary=summary_by(settings.chat_model, settings.models_folder),
        )
        self.team_webhooks = TeamWebhooks(settings.secrets_folder, self.database)
        if settings.oidc_issuer is not None:
            self.issuer = Issuer(settings.oidc_issuer, settings.oidc_audience or "")


def gateway_of(request: Request) -> Gateway:
    gateway = request.app.state.gateway
    assert isinstance(gateway, Gateway)  # noqa: S101  set by create_app
    return gateway


def caller_of(request: Request) -> Caller:
    caller = request.scope[CALLER_KEY]
    assert isinstance(caller, Caller)  # noqa: S101  no request gets past the gate without one
    return caller


def team_of(request: Request) -> uuid.UUID:
    return caller_of(request).team_id


TheGateway = Annotated[Gateway, Depends(gateway_of)]
TheCaller = Annotated[Caller, Depends(caller_of)]
TheTeam = Annotated[uuid.UUID, Depends(team_of)]
