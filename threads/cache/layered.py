"""A cache in the process in front of one that processes share. What others forget is dropped here too."""

from threads.cache.memory import MemoryCache
from threads.cache.protocol import Cache, CacheUnavailable, Heard, Page


class LayeredCache:
    def __init__(self, near: MemoryCache, far: Cache) -> None:
        self._near = near
        self._far = far
        far.listen(near.drop)

    async def get(self, thread: str, page: str) -> Page | None:
        found = await self._near.get(thread, page)
        if found is not None and found.whole:
            return found
        try:
            shared = await self._far.get(thread, page)
        except CacheUnavailable:
            return found
        if shared is not None and (found is None or shared.version > found.version):
            await self._near.put(thread, page, shared)
            return shared
        return found

    async def put(self, thread: str, page: str, found: Page) -> bool:
        near = await self._near.put(thread, page, found)
        try:
            return await self._far.put(thread, page, found)
        except CacheUnavailable:
            return near

    async def forget(self, thread: str) -> None:
        await self._near.forget(thread)
        await self._far.forget(thread)

    def listen(self, heard: Heard) -> None:
        self._far.listen(heard)

    async def close(self) -> None:
        await self._near.close()
        await self._far.close()
