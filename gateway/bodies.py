"""Middleware that limits the bodies of requests: their size, the time they take, and the memory of all together.

A refusal is readable whatever the client is doing: the answer is sent at once, and what the client still sends is read
and dropped, within bounds, before the connection is closed. Closing it earlier would reset it, and most clients
lose the answer then.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway.middleware import count_refusal
from gateway.payload import LARGE_BYTES
from gateway.problems import Refused, unavailable
from gateway.state import Gateway

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_SECONDS = 10.0
"""Timeout for receiving a whole body."""
MAX_BUFFERED_BYTES = 128 << 20
"""Limit of all bodies in memory together."""
LARGE_AT_ONCE = 4
"""Bodies over `LARGE_BYTES` that are received simultaneously. Others wait, and their senders with them, so that small
ones find memory."""
API_BYTES = 1 << 20
"""Limit of bodies that are not webhooks': the longest valid one has less than half of it."""

DRAIN_BYTES = 256 << 20
"""Limit of what is read and dropped after a refusal."""
DRAIN_SECONDS = 30.0
IDLE_SECONDS = 2.0
"""The client is taken to have stopped sending after this time."""


class BoundedBodies:
    """Refuses bodies that are too large, without storing them, and bodies that arrive too slowly."""

    def __init__(self, app: "ASGIApp", gateway: Gateway, body_seconds: float = BODY_SECONDS) -> None:
        self.app = app
        self.gateway = gateway
        self.body_seconds = body_seconds
        self.limit = gateway.settings.max_body_bytes
        self.buffered = 0
        self.large = asyncio.Semaphore(LARGE_AT_ONCE)

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        limit = self.limit if scope["path"].startswith("/webhooks/") else min(self.limit, API_BYTES)
        body = _Body(self, receive, _declared(scope), limit)
        lingering = _Lingering(send, receive, lambda: body.refused and not body.ended)
        if body.declared > limit:
            refused = body.refuse(_too_large(limit))
            count_refusal(self.gateway, scope, refused)
            return await refused.response()(scope, receive, lingering)
        try:
            return await self.app(scope, body.receive, lingering)
        finally:
            body.release()


def _declared(scope: "Scope") -> int:
    """The length that the request declares; 0 if it declares none."""
    length = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    return min(int(length[:19]), 10**18) if length.isdigit() else 0


class _Body:
    """One request's body on its way to the app."""

    def __init__(self, bounds: BoundedBodies, receive: "Receive", declared: int, limit: int) -> None:
        self.bounds = bounds
        self.limit = limit
        self.declared = declared
        self.ended = self.refused = False
        self._receive = receive
        self._size = 0
        self._holds_place = False
        self._deadline = asyncio.get_running_loop().time() + bounds.body_seconds

    async def receive(self) -> "Message":
        if self.ended or self.refused:
            return await self._receive()
        try:
            if max(self._size, self.declared) > LARGE_BYTES and not self._holds_place:
                await self._wait_for_place()
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError as error:
            seconds = f"{self.bounds.body_seconds:g} seconds"
            raise Refused(
                408, "slow", f"the body did not arrive within {seconds}", headers={"Connection": "close"}
            ) from error
        if message["type"] == "http.request":
            self._take(message)
        else:
            self.ended = True
        return message

    def refuse(self, refused: Refused) -> Refused:
        self.refused = True
        return refused

    def release(self) -> None:
        self.bounds.buffered -= self._size
        self._size = 0
        if self._holds_place:
            self.bounds.large.release()
            self._holds_place = False

    async def _wait_for_place(self) -> None:
        began = asyncio.get_running_loop().time()
        try:
            await asyncio.wait_for(self.bounds.large.acquire(), self.bounds.body_seconds)
        except TimeoutError:
            raise self.refuse(_busy()) from None
        self._holds_place = True
        self._deadline += asyncio.get_running_loop().time() - began  # the client could not send meanwhile

    def _take(self, message: "Message") -> None:
        length = len(message.get("body", b""))
        self._size += length
        self.bounds.buffered += length
        self.ended = not message.get("more_body", False)
        if self._size > self.limit:
            raise self.refuse(_too_large(self.limit))
        if self.bounds.buffered > MAX_BUFFERED_BYTES:
            raise self.refuse(_busy())


def _too_large(limit: int) -> Refused:
    return Refused(413, "too-large", f"the body is over the limit of {limit} bytes", headers={"Connection": "close"})


def _busy() -> Refused:
    return unavailable("the gateway is busy with other large requests; send this one again later")


class _Lingering:
    """Sends the messages of an answer. If the body is refused, it holds back the end of the answer, which closes the
    connection, until the client has sent its body."""

    def __init__(self, send: "Send", receive: "Receive", refused: Callable[[], bool]) -> None:
        self._send = send
        self._receive = receive
        self._refused = refused

    async def __call__(self, message: "Message") -> None:
        last = message["type"] == "http.response.body" and not message.get("more_body", False)
        if last and self._refused():
            # The declared length of the answer is complete with this, so the client need not wait for the end.
            await self._send({**message, "more_body": True})
            await _drain(self._receive)
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)


async def _drain(receive: "Receive") -> None:
    """Reads and drops the rest of a body, until it ends, stops or exceeds the bounds."""
    loop = asyncio.get_running_loop()
    end, read = loop.time() + DRAIN_SECONDS, 0
    while read < DRAIN_BYTES:
        try:
            async with asyncio.timeout_at(min(end, loop.time() + IDLE_SECONDS)):
                message = await receive()
        except TimeoutError:
            return
        if message["type"] != "http.request" or not message.get("more_body", False):
            return
        read += len(message.get("body", b""))
