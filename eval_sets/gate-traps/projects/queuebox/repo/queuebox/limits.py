"""How often something may happen."""

import time


class Limiter:
    """At most `count` calls in any `seconds`. `clock` returns seconds."""

    def __init__(self, count, seconds, clock=time.monotonic):
        self.count, self.seconds, self.clock = count, seconds, clock
        self._calls = []

    def allow(self):
        """Whether a call may be made now; if so, it is counted."""
        now = self.clock()
        self._calls = [call for call in self._calls if now - call < self.seconds]
        if len(self._calls) >= self.count:
            return False
        self._calls.append(now)
        return True

    def wait(self):
        """Seconds until a call may be made; 0 if it may be made now."""
        now = self.clock()
        calls = [call for call in self._calls if now - call < self.seconds]
        if len(calls) < self.count:
            return 0
        return self.seconds - (now - calls[-self.count])


def batches(items, size):
    """The items in lists of at most `size`."""
    if size < 1:
        raise ValueError("a batch holds at least one item")
    items = list(items)
    return [items[start : start + size] for start in range(0, len(items), size)]
