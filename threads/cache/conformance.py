"""What every cache of threads must do, as checks that anyone can run against their own adapter.

Each check takes a function that opens a cache (`seconds`: how long pages stay; two that are opened share what adapters
share) and raises `ConformanceFailure`.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable

from core.conformance import require
from threads.cache.protocol import PAGE_BYTES, Cache, Page

OpenCache = Callable[[float], Cache]
Check = Callable[[OpenCache], Awaitable[None]]


async def check_pages_come_back(open_cache: OpenCache) -> None:
    """A page comes back as it was put, whatever bytes it holds; another one does not."""
    cache, thread = open_cache(60), str(uuid.uuid4())
    for body in (b"[]", b'[{"text": "\\u00e4"}]\r\n', bytes(range(256)) * 4000):
        page = Page(7, True, body)
        require(await cache.put(thread, "0:1000", page), "a page was not kept")
        require(await cache.get(thread, "0:1000") == page, "a page came back changed")
    require(await cache.get(thread, "1000:1000") is None, "a page that nobody put is there")
    require(await cache.get(str(uuid.uuid4()), "0:1000") is None, "another thread's page is there")
    await cache.close()


async def check_newer_versions_stay(open_cache: OpenCache) -> None:
    """An older version never replaces a newer one, however the puts are interleaved."""
    cache, thread = open_cache(60), str(uuid.uuid4())
    await asyncio.gather(*(cache.put(thread, "0:9", Page(n, False, b"%d" % n)) for n in (5, 9, 100, 3, 20, 99)))
    found = await cache.get(thread, "0:9")
    require(found is not None and (found.version, found.body) == (100, b"100"), f"after all puts there is {found}")
    require(not await cache.put(thread, "0:9", Page(99, False, b"old")), "an older version was kept")
    require(await cache.put(thread, "0:9", Page(100, True, b"same")), "the same version was not kept")
    await cache.close()


async def check_forgotten_threads_are_gone(open_cache: OpenCache) -> None:
    """`forget` drops all pages of one thread, and those who listen hear of it."""
    cache, thread, other = open_cache(60), str(uuid.uuid4()), str(uuid.uuid4())
    heard: list[str] = []
    cache.listen(heard.append)
    for one in (thread, other):
        for page in ("0:10", "10:10"):
            await cache.put(one, page, Page(20, True, b"x"))
    await asyncio.sleep(0.2)
    await cache.forget(thread)
    require(
        await cache.get(thread, "0:10") is None and await cache.get(thread, "10:10") is None, "a page is still there"
    )
    require(await cache.get(other, "0:10") is not None, "another thread was forgotten too")
    for _ in range(100):
        if thread in heard:
            break
        await asyncio.sleep(0.02)
    require(heard == [thread], f"those who listen heard {heard}")
    await cache.close()


async def check_pages_end(open_cache: OpenCache) -> None:
    """A page is gone after its time, whatever notice was lost."""
    cache, thread = open_cache(0.2), str(uuid.uuid4())
    await cache.put(thread, "0:10", Page(1, True, b"x"))
    require(await cache.get(thread, "0:10") is not None, "a page ended too early")
    await asyncio.sleep(0.4)
    require(await cache.get(thread, "0:10") is None, "a page outlived its time")
    await cache.close()


async def check_large_pages_are_refused(open_cache: OpenCache) -> None:
    """A page over the limit is not kept, and does no harm."""
    cache, thread = open_cache(60), str(uuid.uuid4())
    require(
        not await cache.put(thread, "0:10", Page(1, True, b"x" * (PAGE_BYTES + 1))), "a page over the limit was kept"
    )
    require(await cache.put(thread, "0:10", Page(1, True, b"x" * (PAGE_BYTES - 100))), "a large page was not kept")
    found = await cache.get(thread, "0:10")
    require(found is not None and len(found.body) == PAGE_BYTES - 100, "a large page came back changed")
    await cache.close()


CHECKS: tuple[Check, ...] = (
    check_pages_come_back,
    check_newer_versions_stay,
    check_forgotten_threads_are_gone,
    check_pages_end,
    check_large_pages_are_refused,
)
