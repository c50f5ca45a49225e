"""A cache in this process, of bounded size: the page that was used longest ago goes first."""

import time
from collections import OrderedDict
from collections.abc import Callable

from threads.cache.protocol import PAGE_BYTES, SECONDS, Heard, Page

MOST_BYTES = 32 << 20


class MemoryCache:
    """For one event loop. Nothing of it is shared with other processes: each validates what it has by the version that
    the database tells."""

    def __init__(
        self, *, most_bytes: int = MOST_BYTES, seconds: float = SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most_bytes
        self._seconds = seconds
        self._clock = clock
        self._pages: OrderedDict[tuple[str, str], tuple[float, Page]] = OrderedDict()
        self._names: dict[str, set[str]] = {}
        self._bytes = 0
        self._heard: list[Heard] = []

    async def get(self, thread: str, page: str) -> Page | None:
        found = self._pages.get((thread, page))
        if found is None:
            return None
        if found[0] < self._clock():
            self._drop(thread, page)
            return None
        self._pages.move_to_end((thread, page))
        return found[1]

    async def put(self, thread: str, page: str, found: Page) -> bool:
        if len(found.body) > min(PAGE_BYTES, self._most):
            return False
        old = await self.get(thread, page)
        if old is not None and old.version > found.version:
            return False
        self._drop(thread, page)
        self._pages[thread, page] = (self._clock() + self._seconds, found)
        self._names.setdefault(thread, set()).add(page)
        self._bytes += len(found.body)
        while self._bytes > self._most:
            self._drop(*next(iter(self._pages)))
        return True

    async def forget(self, thread: str) -> None:
        self.drop(thread)
        for heard in self._heard:
            heard(thread)

    def drop(self, thread: str) -> None:
        """Forgets a thread here, and tells nobody."""
        for page in list(self._names.get(thread, ())):
            self._drop(thread, page)

    def listen(self, heard: Heard) -> None:
        self._heard.append(heard)

    async def close(self) -> None:
        self._pages.clear()
        self._names.clear()
        self._bytes = 0

    def _drop(self, thread: str, page: str) -> None:
        found = self._pages.pop((thread, page), None)
        if found is not None:
            self._bytes -= len(found[1].body)
            self._names[thread].discard(page)
            if not self._names[thread]:
                del self._names[thread]
