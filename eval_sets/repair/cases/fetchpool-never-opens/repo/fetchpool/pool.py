"""A pool that fetches keys with limited concurrency and remembers what it got."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from fetchpool.breaker import Breaker
from fetchpool.retry import GaveUp, Sleep, retry

Fetch = Callable[[str], Awaitable[Any]]


@dataclass(frozen=True)
class Result:
    """What became of one key: a value, or the error that ended it."""

    key: str
    value: Any = None
    error: BaseException | None = None

    @property
    def ok(self) -> bool:
        return self.error is None


class Pool:
    """At most `size` fetches run at once. A key that was fetched is not fetched again."""

    def __init__(
        self,
        fetch: Fetch,
        *,
        size: int = 4,
        tries: int = 3,
        breaker: Breaker | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._fetch = fetch
        self._tries = tries
        self._breaker = breaker
        self._sleep = sleep
        self._gate = asyncio.Semaphore(size)
        self._running: dict[str, asyncio.Task[Any]] = {}
        self.fetched = 0

    async def get(self, key: str) -> Any:
        """The value of one key. Concurrent calls for one key share one fetch."""
        task = self._running.get(key)
        if task is None:
            task = asyncio.ensure_future(self._one(key))
            self._running[key] = task
            task.add_done_callback(lambda done: self._forget_failure(key, done))
        return await asyncio.shield(task)

    async def get_all(self, keys: Iterable[str]) -> list[Result]:
        """Results in the order of the keys; an error of one does not stop the others."""
        wanted = list(keys)
        values = await asyncio.gather(*(self.get(key) for key in wanted), return_exceptions=True)
        results = []
        for key, value in zip(wanted, values):
            if isinstance(value, BaseException):
                results.append(Result(key, error=value))
            else:
                results.append(Result(key, value))
        return results

    async def _one(self, key: str) -> Any:
        async with self._gate:
            if self._breaker:
                self._breaker.check()
            try:
                value = await retry(lambda: self._fetch(key), tries=self._tries, sleep=self._sleep)
            except GaveUp:
                if self._breaker:
                    self._breaker.failed()
                raise
            if self._breaker:
                self._breaker.succeeded()
            self.fetched += 1
            return value

    def _forget_failure(self, key: str, task: asyncio.Task[Any]) -> None:
        if task.cancelled() or task.exception() is not None:
            self._running.pop(key, None)

    async def refresh(self, key: str) -> Any:
        """Fetches a key again, whatever is remembered of it."""
        self._running.pop(key, None)
        return await self.get(key)
