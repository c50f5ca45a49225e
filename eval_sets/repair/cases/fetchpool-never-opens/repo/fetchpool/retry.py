"""Retry with growing pauses.

Only errors that may go away by themselves are worth another try; everything
else is passed on at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

Sleep = Callable[[float], Awaitable[None]]


class Transient(Exception):
    """Raised by a fetcher for an error that may go away."""


class GaveUp(Exception):
    """Every try failed. `last` is the error of the last one."""

    def __init__(self, tries: int, last: BaseException) -> None:
        super().__init__(f"gave up after {tries} tries: {last}")
        self.tries = tries
        self.last = last


def pauses(first: float, factor: float, longest: float) -> list[float]:
    """The pauses before each further try, until the longest is reached (which is the last)."""
    result = []
    pause = first
    while pause < longest:
        result.append(pause)
        pause *= factor
    result.append(longest)
    return result


async def retry(
    call: Callable[[], Awaitable[T]],
    *,
    tries: int = 3,
    first_pause: float = 0.1,
    factor: float = 2.0,
    longest_pause: float = 5.0,
    sleep: Sleep = asyncio.sleep,
) -> T:
    """Calls until it succeeds. Raises `GaveUp` after `tries` transient errors or timeouts."""
    if tries < 1:
        raise ValueError("tries must be at least 1")
    pause = first_pause
    attempt = 1
    while True:
        try:
            return await call()
        except (Transient, asyncio.TimeoutError) as error:
            if attempt >= tries:
                raise GaveUp(attempt, error) from error
        await sleep(min(pause, longest_pause))
        pause *= factor
        attempt += 1
