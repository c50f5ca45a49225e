"""Middleware of every request: an id, timing and logging. Tokens are checked in `gateway.gate`, bodies limited in
`gateway.bodies`."""

import time
import uuid
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import structlog

from core import tracing
from gateway.callers import REQUEST_KEY
from gateway.problems import Refused
from gateway.state import Gateway

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

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
        request_id = scope[REQUEST_KEY] = uuid.uuid4().hex[:16]
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

        with _span(scope, request_id) as current:
            try:
                await self.app(scope, receive, observed)
            finally:
                current.set("http.response.status_code", status)
                current.set("http.route", route_of(scope))
                if status >= 500:
                    current.fail(str(status))
                self._tell(scope, start, request_id, status, streamed)

    def _tell(self, scope: "Scope", start: float, request_id: str, status: int, streamed: bool) -> None:
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


def _span(scope: "Scope", request_id: str) -> AbstractContextManager[tracing.Span]:
    """The first span of a new trace, for what may start work. The sender's own trace context is not taken: a sender
    does not choose what is recorded."""
    if scope["method"] != "POST" or not tracing.is_on():
        return nullcontext(tracing.Span())
    known = next((word for word in ("webhooks", "tasks", "tokens") if word in scope["path"][:40]), "other")
    return tracing.span(f"POST {known}", {"http.request.method": "POST", "penstock.request": request_id}, kind="server")
