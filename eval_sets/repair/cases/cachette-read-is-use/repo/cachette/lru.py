"""A cache of limited size that throws out what was not used for the longest time."""

from collections import OrderedDict

from .stats import Stats

_MISSING = object()


class LruCache:
    """Entries may have a cost; `capacity` limits the sum of costs."""

    def __init__(self, capacity, cost=None):
        if capacity <= 0:
            raise ValueError("capacity must be positive")
        self.capacity = capacity
        self.stats = Stats()
        self._cost = cost or (lambda value: 1)
        self._entries = OrderedDict()
        self._used = 0

    def __len__(self):
        return len(self._entries)

    def __contains__(self, key):
        return key in self._entries

    @property
    def used(self):
        return self._used

    def keys(self):
        """From the least to the most recently used."""
        return list(self._entries)

    def get(self, key, default=None):
        entry = self._entries.get(key, _MISSING)
        if entry is _MISSING:
            self.stats.misses += 1
            return default
        self.stats.hits += 1
        return entry[0]

    def put(self, key, value):
        """Stores a value. One that is larger than the whole cache is not kept."""
        cost = self._cost(value)
        self.discard(key)
        if cost > self.capacity:
            return
        while self._used + cost > self.capacity:
            _, (_, freed) = self._entries.popitem(last=False)
            self._used -= freed
            self.stats.evictions += 1
        self._entries[key] = (value, cost)
        self._used += cost

    def discard(self, key):
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._used -= entry[1]
        return entry is not None

    def clear(self):
        self._entries.clear()
        self._used = 0
