"""Compares what a contained command uses with its limits, at intervals that keep the cost of watching low.

Not for wall time and output, which `sandbox.bounded_process` limits itself.
"""

import time
from dataclasses import dataclass

from .contained import Contained, Usage
from .disk_usage import DiskWatch
from .protocol import Limit, Limits

THREADS_PER_PROCESS = 8
_FIRST_INTERVAL = 0.01
_SHORT_INTERVAL = 0.02
_LONG_INTERVAL = 0.05
_CPU_SHARE = 0.03
"""The fraction of one CPU that watching may use."""


@dataclass
class LimitWatch:
    """Watches one command."""

    contained: Contained
    limits: Limits
    disk: DiskWatch
    started_ns: int

    def __post_init__(self) -> None:
        self.usage = Usage()
        self.next_at = time.monotonic() + _FIRST_INTERVAL

    def check(self) -> Limit | None:
        """The limit that is exceeded now, or None; sets `next_at`, the time of the next check."""
        began = time.thread_time()  # not wall time, by which checks would seem expensive on a busy machine, and be rare
        limit = self._exceeded()
        cost = time.thread_time() - began
        memory = self.usage.memory_bytes * 3 > self.limits.memory_bytes
        crowded = self.usage.processes * 2 > self.limits.processes
        self.next_at = time.monotonic() + max(
            _SHORT_INTERVAL if memory or crowded else _LONG_INTERVAL, cost / _CPU_SHARE
        )
        return limit

    def _exceeded(self) -> Limit | None:
        if self.contained.overflowed():
            return Limit.MEMORY
        usage = self.usage = self.contained.usage()
        if usage.cpu_seconds > self.limits.cpu_seconds:
            return Limit.CPU
        allowed = self.limits.memory_bytes
        if usage.memory_bytes > allowed and self.contained.confirmed_memory() > allowed:
            return Limit.MEMORY
        if usage.processes > self.limits.processes or usage.threads > self.limits.processes * THREADS_PER_PROCESS:
            return Limit.PROCESSES
        return self.disk.check(
            self.limits.disk_bytes, self.limits.file_bytes, self.started_ns, self.contained.processes
        )

    def verdict(self, exit_code: int) -> Limit | None:
        """After the command has ended: the limit that the kernel enforced or that the last check finds, or None."""
        if exit_code == 128 + 24 or (exit_code == 128 + 9 and self.usage.cpu_seconds >= self.limits.cpu_seconds * 0.95):
            return Limit.CPU
        if exit_code == 128 + 25:
            return Limit.FILE_SIZE
        found = self.disk.check(self.limits.disk_bytes, self.limits.file_bytes, self.started_ns, lambda: (), last=True)
        return None if found is Limit.FILE_SIZE and exit_code == 0 else found
