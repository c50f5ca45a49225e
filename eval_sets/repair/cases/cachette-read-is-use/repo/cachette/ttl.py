"""A cache whose entries live for some seconds."""

import time

from .stats import Stats


class TtlCache:
    """`ttl` is in seconds, and so is what `clock` returns."""

    def __init__(self, ttl, clock=time.monotonic, sliding=False):
        self.ttl = ttl
        self.sliding = sliding
        self.stats = Stats()
        self._clock = clock
        self._entries = {}

    def get(self, key, default=None):
        entry = self._entries.get(key)
        now = self._clock()
        if entry is None or entry[1] <= now:
            self._entries.pop(key, None)
            self.stats.misses += 1
            return default
        if self.sliding:
            self._entries[key] = (entry[0], now + self.ttl)
        self.stats.hits += 1
        return entry[0]

    def put(self, key, value, ttl=None):
        """Stores a value, for its own time to live where one is given; 0 means not at all."""
        lifetime = self.ttl if ttl is None else ttl
        self._entries[key] = (value, self._clock() + lifetime)

    def remaining(self, key):
        """Seconds that an entry still has; 0 when it is not there."""
        entry = self._entries.get(key)
        if entry is None:
            return 0
        return max(entry[1] - self._clock(), 0)

    def purge(self):
        """Drops what has expired. Returns how many entries that were."""
        now = self._clock()
        gone = [key for key, (_, until) in self._entries.items() if until <= now]
        for key in gone:
            del self._entries[key]
        self.stats.evictions += len(gone)
        return len(gone)

    def __len__(self):
        return len(self._entries)
