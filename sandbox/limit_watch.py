"""Compares what a contained command uses with its limits, at moments it chooses so that watching costs little.

Not for wall time and output, which whoever moves the bytes sees at once.
"""

import time
from dataclasses import dataclass

from .contained import Contained, Usage
from .disk_usage import DiskWatch
from .protocol import Limit, Limits

THREADS_PER_PROCESS = 8
_FIRST = 0.01
_CLOSE = 0.02
_FAR = 0.05
_SHARE = 0.03
"""The part of one CPU that watching may take."""


@dataclass
class LimitWatch:
    """Watches one command."""

    contained: Contained
    limits: Limits
    disk: DiskWatch
    started_ns: int

    def __post_init__(self) -> None:
        self.usage = Usage()
        self.next_at = time.monotonic() + _FIRST

    def check(self) -> Limit | None:
        """The limit that is exceeded now, if one is; sets when to look next."""
        began = time.thread_time()  # not the clock, by which a busy machine would make looking seem dear, and rare
        limit = self._exceeded()
        cost = time.thread_time() - began
        memory = self.usage.memory_bytes * 3 > self.limits.memory_bytes
        crowded = self.usage.processes * 2 > self.limits.processes
        self.next_at = time.monotonic() + max(_CLOSE if memory or crowded else _FAR, cost / _SHARE)
        return limit

    def _exceeded(self) -> Limit | None:
        if self.contained.overflowed():
            return Limit.MEMORY
        usage = self.usage = self.contained.usage()
        if usage.cpu_seconds > self.limits.cpu_seconds:
            return Limit.CPU
        most = self.limits.memory_bytes
        if usage.memory_bytes > most and self.contained.confirmed_memory() > most:
            return Limit.MEMORY
        if usage.processes > self.limits.processes or usage.threads > self.limits.processes * THREADS_PER_PROCESS:
            return Limit.PROCESSES
        return self.disk.check(
            self.limits.disk_bytes, self.limits.file_bytes, self.started_ns, self.contained.processes
        )

    def verdict(self, exit_code: int) -> Limit | None:
        """After the end: the limit that the kernel enforced, or that was only seen now."""
        if exit_code == 128 + 24 or (exit_code == 128 + 9 and self.usage.cpu_seconds >= self.limits.cpu_seconds * 0.95):
            return Limit.CPU
        if exit_code == 128 + 25:
            return Limit.FILE_SIZE
        found = self.disk.check(self.limits.disk_bytes, self.limits.file_bytes, self.started_ns, lambda: (), last=True)
        return None if found is Limit.FILE_SIZE and exit_code == 0 else found
