"""Caches in memory: least recently used, time to live, and a decorator for functions."""

from .lru import LruCache
from .memo import memoize
from .ttl import TtlCache

__all__ = ["LruCache", "TtlCache", "memoize"]
