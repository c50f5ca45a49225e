"""Middleware of every request: timing and logging, and the token check. Bodies are limited in `gateway.bodies`.

A path needs a token unless it is in `OPEN_PATHS`.
"""

import time
import uuid
from typing import TYPE_CHECKING, Any

import psycopg
import structlog
from starlette.concurrency import run_in_threadpool

from core.credentials import TOKEN_PREFIX, token_hash
from core.database import Database
from gateway.problems import Refused, unavailable
from gateway.state import TEAM_KEY, Gateway

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ORIGINS = ("github", "gitlab", "gitea", "jira", "generic")
OPEN_PATHS = frozenset({"/healthz", "/readyz", *(f"/webhooks/{origin}" for origin in _ORIGINS)})

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

NOTES_KEY = "penstock.notes"

_logger = structlog.get_logger("gateway")


def note(scope: "Scope", **what: Any) -> None:
    """Adds fields to this request's log line."""
    scope.setdefault(NOTES_KEY, {}).update(what)


def route_of(scope: "Scope") -> str:
    return str(getattr(scope.get("route"), "path", "unmatched"))


def count_refusal(gateway: Gateway, scope: "Scope", refused: Refused) -> None:
    gateway.metrics.refused.labels(route_of(scope), refused.code).inc()
    note(scope, refused=refused.code)


class Observe:
    """Times each request, gives it an id, and logs one line about it."""

    def __init__(self, app: "ASGIApp", gateway: Gateway) -> None:
        self.app = app
        self.gateway = gateway

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        start = time.perf_counter()
        request_id = uuid.uuid4().hex[:16]
        note(scope)
        status = 500
        streamed = False

        async def observed(message: "Message") -> None:
            nonlocal status, streamed
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message.setdefault("headers", [])
                streamed = any(k == b"content-type" and v.startswith(b"text/event-stream") for k, v in headers)
                message["headers"] = [*headers, (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self.app(scope, receive, observed)
        finally:
            seconds = time.perf_counter() - start
            route = route_of(scope)
            if not streamed:
                method = scope["method"] if scope["method"] in _METHODS else "other"
                self.gateway.metrics.seconds.labels(method, route, str(status)).observe(seconds)
            log = _logger.debug if route in ("/healthz", "/readyz", "/metrics") and status < 400 else _logger.info
            log(
                "request",
                request=request_id,
                method=scope["method"][:20],
                path=scope["path"][:200],
                status=status,
                ms=round(seconds * 1000, 2),
                **scope[NOTES_KEY],
            )


class TokenGate:
    """Requires a known API token for all paths but `OPEN_PATHS`, and stores the token's team in the request's scope."""

    def __init__(self, app: "ASGIApp", gateway: Gateway) -> None:
        self.app = app
        self.gateway = gateway

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            try:
                scope[TEAM_KEY] = await self._team(scope)
            except Refused as refused:
                count_refusal(self.gateway, scope, refused)
                return await refused.response()(scope, receive, send)
        return await self.app(scope, receive, send)

    async def _team(self, scope: "Scope") -> uuid.UUID:
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        scheme, _, token = (given[0] if len(given) == 1 else b"").decode("latin-1").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise _unauthorised("an API token is required: header `Authorization: Bearer pst_...`")
        if token.startswith(TOKEN_PREFIX) and len(token) <= 200:
            try:
                team = await run_in_threadpool(_find_team, self.gateway.database, token)
            except psycopg.OperationalError as error:
                raise unavailable() from error
            if team is not None:
                return team
        raise _unauthorised("the API token is not known")


def _unauthorised(message: str) -> Refused:
    return Refused(401, "token", message, headers={"WWW-Authenticate": 'Bearer realm="penstock"'})


def _find_team(database: Database, token: str) -> uuid.UUID | None:
    """The token's team. The lookup runs with the platform's role, since the team is not known yet. It is by hash, so
    its duration reveals nothing about the token."""
    with database.system() as connection:
        row = connection.execute(
            "SELECT team_id FROM api_tokens WHERE token_sha256 = %s", (token_hash(token),)
        ).fetchone()
    return row[0] if row else None
