"""A bounded number of coroutines side by side: one that is slow holds up none of the others."""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Hashable
from typing import Any


class Abreast:
    """At most `most` at once, and at most `of_one` for one owner, such as a team."""

    def __init__(self, most: int, of_one: int) -> None:
        self._most = most
        self._of_one = of_one
        self._running: set[asyncio.Task[None]] = set()
        self._of: Counter[Hashable] = Counter()

    @property
    def free(self) -> int:
        return self._most - len(self._running)

    def full(self) -> list[Any]:
        """The owners that have as many as one may have."""
        return [owner for owner, count in self._of.items() if count >= self._of_one]

    def start(self, owner: Hashable, work: Coroutine[Any, Any, None]) -> None:
        """Errors of the work are its own to handle."""
        task = asyncio.create_task(work)
        self._running.add(task)
        self._of[owner] += 1

        def ended(done: asyncio.Task[None]) -> None:
            self._running.discard(done)
            self._of[owner] -= 1
            if not self._of[owner]:
                del self._of[owner]

        task.add_done_callback(ended)

    async def one_ends(self) -> None:
        """Waits until one of them has ended; returns at once if none runs."""
        if self._running:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)

    async def cancel(self) -> None:
        """Cancels all, and waits until they have ended."""
        while self._running:
            for task in self._running:
                task.cancel()
            await asyncio.wait(self._running)
