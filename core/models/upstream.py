"""Requests to model servers: connections, a time limit for each phase, and what counts as a server's failure.

Nothing of a server's headers but its content type reaches a caller, and nothing of a caller's headers but the trace
context reaches a server.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import aiohttp
from yarl import URL

from core.models.config import Backend, Times

PIECE = 64 << 10
MOST_ERROR = 64 << 10
"""Bytes that are read of an answer that is an error."""
_HEADERS = {"Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": "penstock-model-proxy"}
_REFUSES_KEY = frozenset({401, 403, 407})
_OVERLOADED = frozenset({408, 425, 429, 503})


class Failed(Exception):
    """A server failed before anything of its answer was passed on. `kind` is short, for metrics:
    unreachable, timeout, broken, status, overloaded, key, garbage."""

    def __init__(self, kind: str, message: str, *, worked: bool = True, status: int | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.worked = worked
        """Whether the server may have worked on the request; if not, repeating it costs nothing."""
        self.status = status


@dataclass(slots=True)
class Answer:
    """A server's answer, whose body is still to be read."""

    response: aiohttp.ClientResponse

    @property
    def status(self) -> int:
        return self.response.status


class Upstream:
    """The connections to all servers. Opened and closed in the event loop that uses it."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            trace = aiohttp.TraceConfig()
            trace.on_connection_reuseconn.append(_reused)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=15.0),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                trace_configs=[trace],
                max_line_size=8190,
                max_field_size=8190,
                skip_auto_headers=("Accept",),
            )
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    @asynccontextmanager
    async def post(
        self, backend: Backend, path: str, body: bytes, times: Times, first: float, headers: Mapping[str, str]
    ) -> AsyncIterator[Answer]:
        """Sends a request and waits at most `first` seconds for the answer's status. Raises `Failed` for an answer that
        is the server's fault. A kept connection that the server had closed already is replaced once."""
        deadline = time.monotonic() + first
        try:
            response = await self._sent(backend, path, body, times, deadline, headers)
        except _Stale:
            try:
                response = await self._sent(backend, path, body, times, deadline, headers)
            except _Stale:
                raise Failed("broken", "closed the connection", worked=False) from None
        try:
            await _require_good(backend, response, deadline)
            yield Answer(response)
        finally:
            response.close()

    async def get(self, backend: Backend, url: str, seconds: float, most: int) -> tuple[int, bytes]:
        """Status and body of a small answer. Raises `Failed`."""
        try:
            async with asyncio.timeout(seconds):
                session = self._opened()
                async with session.get(
                    URL(url, encoded=True), headers=key_header(backend), allow_redirects=False
                ) as response:
                    return response.status, await _read(response, most)
        except TimeoutError:
            raise Failed("timeout", f"does not answer within {seconds:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Failed("unreachable", f"cannot be reached ({_named(error)})") from None

    async def _sent(
        self, backend: Backend, path: str, body: bytes, times: Times, deadline: float, headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        used = SimpleNamespace(again=False)
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                return await self._opened().post(
                    address(backend, path),
                    data=body,
                    headers={**_HEADERS, **headers, **key_header(backend)},
                    timeout=aiohttp.ClientTimeout(total=None, sock_connect=times.connect),
                    allow_redirects=False,
                    trace_request_ctx=used,
                )
        except (aiohttp.ServerTimeoutError, aiohttp.ClientConnectorError) as error:
            raise Failed("unreachable", f"cannot be reached ({_named(error)})", worked=False) from None
        except TimeoutError:
            raise Failed("timeout", "sends nothing within the time limit") from None
        except (aiohttp.ClientConnectionError, ConnectionError) as error:
            if used.again:
                raise _Stale from None
            raise Failed("broken", f"closed the connection ({_named(error)})") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Failed("garbage", f"does not answer like an HTTP server ({_named(error)})") from None


class _Stale(Exception):
    """The request was sent on a kept connection that the server closed at that moment."""


async def pieces(answer: Answer, first: float, between: float) -> AsyncIterator[bytes]:
    """The body as it arrives. Raises `Failed` if it stops for too long, or before its end."""
    content, limit = answer.response.content, first
    while True:
        try:
            async with asyncio.timeout(limit):
                piece = await content.readany()
        except TimeoutError:
            raise Failed("timeout", f"sent nothing for {limit:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Failed("broken", f"broke off its answer ({_named(error)})") from None
        if not piece:
            return
        yield piece
        limit = between


async def whole(answer: Answer, seconds: float, most: int) -> bytes:
    """The whole body. Raises `Failed`, also for one of more than `most` bytes."""
    try:
        async with asyncio.timeout(seconds):
            return await _read(answer.response, most)
    except TimeoutError:
        raise Failed("timeout", "does not end its answer within the time limit") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise Failed("broken", f"broke off its answer ({_named(error)})") from None


async def _read(response: aiohttp.ClientResponse, most: int) -> bytes:
    found: list[bytes] = []
    size = 0
    while piece := await response.content.readany():
        size += len(piece)
        if size > most:
            raise Failed("garbage", f"its answer is longer than {most} bytes")
        found.append(piece)
    return b"".join(found)


async def _require_good(backend: Backend, response: aiohttp.ClientResponse, deadline: float) -> None:
    """Raises `Failed` for a status that says nothing about the request, but about the server or its set-up."""
    status = response.status
    if status in _OVERLOADED:
        raise Failed("overloaded", f"answers {status}: it is overloaded", worked=status == 408, status=status)
    if status in _REFUSES_KEY:
        where = backend.key_variable or "a key_variable, which it lacks"
        raise Failed("key", f"answers {status}: it refuses the key of {where}", worked=False, status=status)
    if status >= 500:
        raise Failed("status", f"answers {status}", status=status)
    if status in (404, 405):
        said = await whole(Answer(response), max(0.1, min(5.0, deadline - time.monotonic())), MOST_ERROR)
        raise Failed("missing", f"answers {status}: {shortened(said)}", worked=False, status=status)
    if status < 200 or 300 <= status < 400:
        raise Failed("garbage", f"answers {status}, which is no answer of this API", worked=False, status=status)


def address(backend: Backend, path: str) -> URL:
    """Where a path of an API is on a server: `/v1` is part of an OpenAI-compatible server's address."""
    base = backend.base
    if backend.kind == "openai":
        path = path.removeprefix("/v1")
    return URL(base + path, encoded=True)


def key_header(backend: Backend) -> dict[str, str]:
    if backend.key_variable is None:
        return {}
    key = os.environ.get(backend.key_variable, "").strip()
    if not key or not key.isprintable() or not key.isascii():
        raise Failed(
            "key", f"needs a key: set the environment variable {backend.key_variable} to it", worked=False, status=None
        )
    return {"Authorization": f"Bearer {key}"}


def shortened(raw: bytes) -> str:
    return " ".join(raw[:1000].decode("utf-8", "replace").split())[:200]


def _named(error: BaseException) -> str:
    """The kind of an error. Its text may hold the request's address or headers."""
    cause = getattr(error, "os_error", None) or error
    return str(getattr(cause, "strerror", "") or type(cause).__name__)[:100]


async def _reused(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: Any) -> None:
    asked = getattr(context, "trace_request_ctx", None)
    if asked is not None:
        asked.again = True
