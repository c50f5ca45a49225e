"""A cache that forgets: the least recently used beyond its capacity, and everything after some time."""

import functools
import time
from collections import OrderedDict

_MISSING = object()


class TTLCache:
    """A mapping of at most `capacity` values, each for `ttl` seconds after it was set."""

    def __init__(self, capacity=128, ttl=60.0, clock=time.monotonic):
        if capacity < 1:
            raise ValueError("capacity must be at least 1")
        self.capacity = capacity
        self.ttl = ttl
        self._clock = clock
        self._entries = OrderedDict()
        self.hits = self.misses = 0

    def set(self, key, value):
        self._entries[key] = (value, self._clock() + self.ttl)
        self._entries.move_to_end(key)
        while len(self._entries) > self.capacity:
            self._entries.popitem(last=False)

    def get(self, key, default=None):
        """The value, which becomes the most recently used one."""
        if not self._alive(key):
            self.misses += 1
            return default
        self.hits += 1
        self._entries.move_to_end(key)
        return self._entries[key][0]

    def pop(self, key, default=_MISSING):
        """Removes a value and gives it; without it, the default, or `KeyError` if there is none."""
        if self._alive(key):
            return self._entries.pop(key)[0]
        self._entries.pop(key, None)
        if default is _MISSING:
            raise KeyError(key)
        return default

    def __contains__(self, key):
        return self._alive(key)

    def __len__(self):
        return sum(1 for key in self._entries if self._alive(key))

    def _alive(self, key):
        return key in self._entries and self._clock() < self._entries[key][1]


def memoize(cache):
    """Keeps the results of a function in a cache, for each combination of arguments."""

    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            key = (args, tuple(sorted(kwargs.items())))
            result = cache.get(key, _MISSING)
            if result is _MISSING:
                result = function(*args, **kwargs)
                cache.set(key, result)
            return result

        return wrapper

    return decorate
