"""Keys and values in memory."""

import time


class Store:
    """Values by key. A key with `ttl` runs out after that many seconds by `clock`."""

    def __init__(self, clock=time.monotonic):
        self.clock = clock
        self._values = {}
        self._ends = {}

    def set(self, key, value, ttl=None):
        """Stores a value. Without `ttl` the key does not run out, also if it did before."""
        self._values[key] = value
        self._ends.pop(key, None)
        if ttl is not None:
            self._ends[key] = self.clock() + ttl

    def _drop_expired(self):
        now = self.clock()
        for key in [key for key, end in self._ends.items() if end <= now]:
            del self._ends[key], self._values[key]

    def get(self, key, default=None):
        self._drop_expired()
        return self._values.get(key, default)

    def delete(self, key):
        """Returns whether the key was there."""
        self._drop_expired()
        self._ends.pop(key, None)
        return self._values.pop(key, self) is not self

    def keys(self, prefix=""):
        """Keys that begin with a prefix, sorted."""
        self._drop_expired()
        return sorted(key for key in self._values if key.startswith(prefix))

    def increase(self, key, by=1):
        """Adds to a number, which begins at 0, and returns it. The lifetime stays."""
        self._drop_expired()
        self._values[key] = self._values.get(key, 0) + by
        return self._values[key]
