"""Jobs and the order in which they run."""

import heapq
import itertools


class Queue:
    """Jobs by priority, the highest first; of equal priority the one that was added first."""

    def __init__(self):
        self._heap = []
        self._numbers = itertools.count()
        self._cancelled = set()

    def add(self, name, priority=0):
        """Adds a job and returns its number."""
        number = next(self._numbers)
        heapq.heappush(self._heap, (-priority, number, name))
        return number

    def cancel(self, number):
        """Removes a waiting job; returns whether it was waiting."""
        if number in self._cancelled or not any(entry[1] == number for entry in self._heap):
            return False
        self._cancelled.add(number)
        return True

    def __len__(self):
        return len(self._heap) - len(self._cancelled)

    def pop(self):
        """The name of the next job, None when none waits."""
        while self._heap:
            _, number, name = heapq.heappop(self._heap)
            if number not in self._cancelled:
                return name
            self._cancelled.discard(number)
        return None

    def drain(self):
        """The names of all waiting jobs in order, which empties the queue."""
        names = []
        while (name := self.pop()) is not None:
            names.append(name)
        return names
