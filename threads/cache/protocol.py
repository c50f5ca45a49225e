"""What a cache of threads must do.

It holds no rights: whoever reads a page was told by the database, for this read, that they may, and which version of
the thread is the current one. A page that is `whole` never changes; the last one of a thread is good for one version.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

SECONDS = 300.0
"""After this time a page is forgotten, whatever notices were lost."""
PAGE_BYTES = 4 << 20

Heard = Callable[[str], None]


class CacheUnavailable(Exception):
    """The cache does not answer in time. Go on without it."""


@dataclass(frozen=True)
class Page:
    """`version`: the head of the thread when it was read. `body`: a JSON array of ops."""

    version: int
    whole: bool
    body: bytes


class Cache(Protocol):
    """Each method may raise `CacheUnavailable`, soon. A thread is named by its id, a page by its first op and size."""

    async def get(self, thread: str, page: str) -> Page | None: ...

    async def put(self, thread: str, page: str, found: Page) -> bool:
        """Keeps a page unless a newer version of it is there; whether it was kept. A page of more than `PAGE_BYTES` is
        not."""
        ...

    async def forget(self, thread: str) -> None:
        """Drops all pages of a thread, in all processes that share the cache or listen to it."""
        ...

    def listen(self, heard: Heard) -> None:
        """Has `heard` called with each thread that some process forgets, from now on. A notice may be lost."""
        ...

    async def close(self) -> None: ...
