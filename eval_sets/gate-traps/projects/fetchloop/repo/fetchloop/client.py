"""The client. A transport is an asynchronous function from a path and parameters to an answer."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

Transport = Callable[[str, dict[str, Any]], Awaitable[str]]


class TransientError(Exception):
    """The transport may succeed when it is tried again."""


class NotFound(Exception):
    """There is nothing under this path."""


class Client:
    """Gets answers and keeps them. `on_retry` is told the path and the number of each further try, from 1."""

    def __init__(
        self,
        transport: Transport,
        retries: int = 2,
        on_retry: Callable[[str, int], None] | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.transport = transport
        self.retries = retries
        self.on_retry = on_retry
        self.pause = pause
        self.cache: dict[tuple[Any, ...], str] = {}

    async def get(self, path: str, **params: Any) -> str:
        """The answer for a path and parameters; each is asked for once as long as it succeeds."""
        key = (path, *sorted(params.items()))
        if key in self.cache:
            return self.cache[key]
        answer = await self._fetch(path, params)
        self.cache[key] = answer
        return answer

    async def _fetch(self, path: str, params: dict[str, Any]) -> str:
        attempt = 0
        while True:
            try:
                return await self.transport(path, params)
            except TransientError:
                attempt += 1
                if attempt > self.retries:
                    raise
                if self.on_retry is not None:
                    self.on_retry(path, attempt)
                await self.pause(0.1 * 2**attempt)


async def gather_all(client: Client, paths: Iterable[str], limit: int = 4) -> list[str]:
    """The answers for some paths, in their order, at most `limit` at a time."""
    gate = asyncio.Semaphore(limit)

    async def one(path: str) -> str:
        async with gate:
            return await client.get(path)

    return list(await asyncio.gather(*(one(path) for path in paths)))


async def first_found(client: Client, paths: Iterable[str], default: str = "") -> str:
    """The answer for the first path under which there is something."""
    for path in paths:
        try:
            return await client.get(path)
        except NotFound:
            continue
    return default
