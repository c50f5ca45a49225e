"""Reads a tree of processes and their resource usage from /proc, cheaply enough for every few milliseconds.

Linux only. A process that ends while the tree is read is left out.
"""
# Paths are plain strings for speed: these are opened every few milliseconds.
# ruff: noqa: PTH123, PTH208

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class ProcessFacts:
    """One process at one moment. `cpu` is its own CPU time and `reaped_cpu` that of children it has waited for,
    both in seconds; `started` (ticks since boot) distinguishes processes with the same pid."""

    pid: int
    parent: int
    state: str
    cpu: float
    reaped_cpu: float
    threads: int
    started: int
    resident_bytes: int


def facts(pid: int) -> ProcessFacts | None:
    """None when the process has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            line = file.read(2048)
    except OSError:
        return None
    field = line[line.rfind(b")") + 2 :].split()
    if len(field) < 22:
        return None
    return ProcessFacts(
        pid=pid,
        parent=int(field[1]),
        state=field[0].decode(),
        cpu=(int(field[11]) + int(field[12])) / _TICKS,
        reaped_cpu=(int(field[13]) + int(field[14])) / _TICKS,
        threads=int(field[17]),
        started=int(field[19]),
        resident_bytes=int(field[21]) * _PAGE,
    )


@cache
def _kernel_lists_children() -> bool:
    return Path(f"/proc/self/task/{os.getpid()}/children").exists()


def children(pid: int, threads: int = 2) -> list[int]:
    """The pids of the children of `pid`. `threads` is its number of threads: with 1, only its main thread is read."""
    if not _kernel_lists_children():
        numbers = (int(name) for name in os.listdir("/proc") if name.isdigit())
        return [number for number in numbers if (one := facts(number)) is not None and one.parent == pid]
    found: list[int] = []
    try:
        tasks = [str(pid)] if threads <= 1 else os.listdir(f"/proc/{pid}/task")
        for task in tasks:
            with open(f"/proc/{pid}/task/{task}/children", "rb", buffering=0) as file:
                found += [int(number) for number in file.read(1 << 16).split()]
    except OSError:
        return found
    return found


def tree(root: int, limit: int = 4096) -> Iterator[ProcessFacts]:
    """`root` and its descendants, at most `limit` processes, parents before children."""
    todo = [root]
    count = 0
    while todo and count < limit:
        one = facts(todo.pop())
        if one is None:
            continue
        count += 1
        yield one
        todo += children(one.pid, one.threads)


def proportional_bytes(pid: int) -> int | None:
    """Resident memory in bytes, with each shared page divided among its users (PSS); None when it cannot be read."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb", buffering=0) as file:
            text = file.read(4096)
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) << 10
    return None


class CpuMeter:
    """Adds up the CPU time of a tree whose processes start and end.

    The kernel adds the time of a process that ended to the parent that waited for it; without a wait, the time is lost.
    So the last reading of each ended process is also added up, and the greater of the two sums counts.
    """

    def __init__(self) -> None:
        self._last: dict[tuple[int, int], float] = {}
        self._vanished = 0.0
        self._greatest = 0.0

    def add(self, living: list[ProcessFacts]) -> float:
        """The total CPU time so far in seconds, given the processes that are running now."""
        now = {(one.pid, one.started): one.cpu for one in living}
        self._vanished += sum(cpu for key, cpu in self._last.items() if key not in now)
        self._last = now
        seen = sum(now.values()) + self._vanished
        reaped = sum(one.cpu + one.reaped_cpu for one in living)
        self._greatest = max(self._greatest, seen, reaped)
        return self._greatest
