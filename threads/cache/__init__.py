"""Pages of ops that were read before: one protocol, adapters in the process and for Valkey or Redis."""

from threads.cache.protocol import Cache, CacheUnavailable, Page

__all__ = ["Cache", "CacheUnavailable", "Page", "open_cache"]


def open_cache(url: str | None) -> Cache:
    """The cache at `redis://host:port/number` or `valkey://…`, in front of one in the process; without a URL that one
    alone."""
    from threads.cache.memory import MemoryCache

    if url is None:
        return MemoryCache()
    from threads.cache.layered import LayeredCache
    from threads.cache.valkey import ValkeyCache

    return LayeredCache(MemoryCache(), ValkeyCache(url))
