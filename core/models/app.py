"""The proxy as an ASGI application, without a framework: each microsecond here is added to every request.

Open paths: `/healthz` (the process answers) and `/readyz` (it takes requests, which it holds for
servers that sleep). All others need a team's token, with the
role `operator` for what costs money, and `/metrics` and `/state` one of the default team.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import structlog

from core.access.roles import Role
from core.events import DEFAULT_TEAM
from core.model_server import TASK_HEADER
from core.models import listing
from core.models.access import Caller
from core.models.dialects import ENDPOINTS, MOST_TASK, BadRequest, dialect_of, error_body, read_ask
from core.models.pool import Refusal
from core.models.proxy import Proxy
from core.models.relay import Aborted

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

BODY_SECONDS = 30.0
_TASK = TASK_HEADER.lower().encode()
_TRACE = {b"traceparent": "traceparent", b"tracestate": "tracestate"}
_MANAGING = frozenset({"/api/pull", "/api/push", "/api/create", "/api/copy", "/api/delete", "/api/blobs"})
_logger = structlog.get_logger("model-proxy")


class App:
    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._lifespan(receive, send)
        if scope["type"] != "http":
            return None
        path: str = scope["path"]
        try:
            endpoint = ENDPOINTS.get(path)
            if endpoint is None:
                return await self._other(scope, path, send)
            if scope["method"] != "POST":
                raise Refusal(405, "method", f"{path} is asked by POST")
            await self._generate(scope, receive, send, path)
        except Refusal as refusal:
            self.proxy.metrics.refused.labels(refusal.code).inc()
            await _refuse(send, path, refusal)
        except Aborted:
            # Without the end of its body, the server closes the connection: the caller sees that it is not whole.
            return None
        except Exception:
            _logger.exception("a request failed by an error of the proxy", path=path)
            await _refuse(send, path, Refusal(500, "internal", "internal error of the proxy; see its log"))

    async def _generate(self, scope: Scope, receive: Receive, send: Send, path: str) -> None:
        proxy, headers = self.proxy, scope["headers"]
        caller = await proxy.access.caller(_authorization(headers))
        endpoint = ENDPOINTS[path]
        needed = Role.VIEWER if endpoint.operation == "show" else Role.OPERATOR
        _require(caller, needed)
        task = _task(headers)
        raw = await _body(headers, receive, proxy.config.most_body_bytes)
        try:
            ask = read_ask(endpoint, raw, proxy.pools)
        except BadRequest as error:
            raise Refusal(400, "bad_request", str(error)) from None
        except KeyError as error:
            message = f"there is no model {str(error.args[0])[:120]!r}: /v1/models lists those that are"
            raise Refusal(404, "model_not_found", message) from None
        trace = {_TRACE[name]: text for name, value in headers if name in _TRACE and (text := _printable(value))}
        work = asyncio.current_task()
        assert work is not None  # noqa: S101  a request runs in a task
        gone = asyncio.get_running_loop().create_task(_until_gone(receive, work))

        async def sent(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.body" and not message["more_body"]:
                gone.cancel()  # a caller who has everything may go
            await send(message)

        try:
            await proxy.relay.answer(ask, raw, caller, task, trace, sent)
        except asyncio.CancelledError:
            if not gone.done():
                raise
            work.uncancel()  # the caller went away, and with it the request at the model server
            raise Aborted("the caller went away") from None
        finally:
            gone.cancel()

    async def _other(self, scope: Scope, path: str, send: Send) -> None:
        proxy = self.proxy
        if scope["method"] not in ("GET", "HEAD"):
            if any(path == one or path.startswith(f"{one}/") for one in _MANAGING):
                raise Refusal(403, "not_here", f"{path}: models are managed at their servers, not through the proxy")
            raise Refusal(404, "not_found", f"the proxy has no path {path[:200]!r}; docs/model-proxy.md lists them")
        if path == "/healthz":
            return await _json(send, 200, {"status": "ok"})
        if path == "/readyz":
            return await _json(send, 200, {"status": "ready", "models_up": proxy.models_up()})
        if path == "/":
            return await _json(send, 200, {"service": "penstock model-proxy"})
        caller = await proxy.access.caller(_authorization(scope["headers"]))
        if path in ("/metrics", "/state"):
            if caller.team_id != DEFAULT_TEAM:
                raise Refusal(403, "operator_only", f"{path} is for tokens of the default team")
            if path == "/state":
                return await _json(send, 200, listing.state(proxy.pools))
            return await _answer(send, 200, proxy.rendered(), b"text/plain; version=0.0.4; charset=utf-8")
        if path == "/v1/models":
            return await _json(send, 200, listing.openai_models(proxy.pools))
        if path == "/api/tags":
            return await _json(send, 200, listing.ollama_tags(proxy.pools))
        if path == "/api/ps":
            return await _json(send, 200, listing.ollama_ps(proxy.pools))
        if path == "/api/version":
            return await _json(send, 200, listing.ollama_version(proxy.pools.values()))
        raise Refusal(404, "not_found", f"the proxy has no path {path[:200]!r}; docs/model-proxy.md lists them")

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self.proxy.start()
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.proxy.close()
                await send({"type": "lifespan.shutdown.complete"})
                return


def _authorization(headers: list[tuple[bytes, bytes]]) -> str | None:
    given = [value for name, value in headers if name == b"authorization"]
    return given[0].decode("latin-1") if len(given) == 1 else None


def _require(caller: Caller, role: Role) -> None:
    if not caller.role.allows(role):
        raise Refusal(403, "role", f"this needs the role {role}; the token has {caller.role}")


def _task(headers: list[tuple[bytes, bytes]]) -> str | None:
    given = [value for name, value in headers if name == _TASK]
    if not given:
        return None
    text = given[0].decode("latin-1").strip()
    if len(given) > 1 or not text.isascii() or not text.isprintable() or len(text) > MOST_TASK:
        raise Refusal(400, "task", f"{TASK_HEADER}: must be one text of at most {MOST_TASK} printable characters")
    return text or None


def _printable(value: bytes) -> str:
    """A header as it may be passed on; empty if it holds anything but printable ASCII."""
    text = value.decode("latin-1")[:512]
    return text if text.isascii() and text.isprintable() else ""


async def _body(headers: list[tuple[bytes, bytes]], receive: Receive, most: int) -> bytes:
    declared = next((value for name, value in headers if name == b"content-length"), b"0")
    large = Refusal(413, "too_large", f"the body is larger than {most} bytes")
    if not declared.isdigit() or int(declared) > most:
        raise large
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Aborted("the caller went away")
                part = message.get("body", b"")
                size += len(part)
                if size > most:
                    raise large
                parts.append(part)
                if not message.get("more_body", False):
                    return parts[0] if len(parts) == 1 else b"".join(parts)
    except TimeoutError:
        raise Refusal(408, "slow_body", f"the body did not arrive within {BODY_SECONDS:g} s") from None


async def _until_gone(receive: Receive, work: "asyncio.Task[Any]") -> None:
    """Cancels a request whose caller goes away, so that its server does not work for nobody."""
    while (await receive())["type"] != "http.disconnect":
        pass
    work.cancel()


async def _refuse(send: Send, path: str, refusal: Refusal) -> None:
    body = error_body(dialect_of(path), refusal.status, refusal.code, str(refusal))
    extra = [(b"retry-after", str(max(1, round(refusal.seconds))).encode())] if refusal.seconds is not None else []
    if refusal.status == 401:
        extra.append((b"www-authenticate", b'Bearer realm="penstock"'))
    with suppress(RuntimeError):  # the answer had begun
        await _answer(send, refusal.status, body, b"application/json", extra)


async def _json(send: Send, status: int, value: Any) -> None:
    await _answer(send, status, json.dumps(value).encode(), b"application/json")


async def _answer(
    send: Send, status: int, body: bytes, kind: bytes, extra: list[tuple[bytes, bytes]] | None = None
) -> None:
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), *(extra or [])]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
