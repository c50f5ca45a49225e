"""A memory cgroup for one command, where this process may make one: the kernel's own bound on everything that the
command starts, its temporary files and the memory its processes share.

Version 1 and 2. As root it works nearly everywhere; else where the groups are delegated, as systemd does for a user's
services. https://docs.kernel.org/admin-guide/cgroup-v2.html
"""

import contextlib
import functools
import itertools
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_ANONYMOUS = {1: b"total_rss", 2: b"anon"}
_SHARED = {1: b"total_shmem", 2: b"shmem"}
_LIMIT = {1: "memory.limit_in_bytes", 2: "memory.max"}
_SWAP = {1: "memory.memsw.limit_in_bytes", 2: "memory.swap.max"}
_KILLS = {1: "memory.oom_control", 2: "memory.events"}
_PREFIX = "penstock-"
_STALE_SECONDS = 3600.0
_EMPTYING_SECONDS = 2.0
_numbers = itertools.count(1)


@dataclass(frozen=True)
class MemoryGroup:
    """One group. Processes enter it by their number being written to `members`; their children are born in it."""

    folder: Path
    version: int

    @property
    def members(self) -> Path:
        return self.folder / "cgroup.procs"

    def used_bytes(self) -> int:
        """Memory that cannot be given back: anonymous pages, and files in memory. Each page counts once."""
        wanted = _ANONYMOUS[self.version], _SHARED[self.version]
        return sum(value for name, value in self._facts("memory.stat") if name in wanted)

    def overflowed(self) -> bool:
        """Whether the kernel has killed a process because the group was full."""
        return any(name == b"oom_kill" and value > 0 for name, value in self._facts(_KILLS[self.version]))

    def _facts(self, name: str) -> Iterator[tuple[bytes, int]]:
        with contextlib.suppress(OSError):
            for line in (self.folder / name).read_bytes().splitlines():
                key, _, value = line.partition(b" ")
                yield key, int(value)

    def remove(self) -> None:
        """When its processes are dead. One that is not empty in time is swept later."""
        deadline = time.monotonic() + _EMPTYING_SECONDS
        while True:
            try:
                self.folder.rmdir()
            except FileNotFoundError:
                return
            except OSError:
                if time.monotonic() > deadline:
                    return
                time.sleep(0.005)
            else:
                return


def memory_group(max_bytes: int) -> MemoryGroup | None:
    """A new group that holds at most `max_bytes`, without swap; None where this process cannot make one."""
    place = place_for_groups()
    return None if place is None else _make(*place, max_bytes)


@functools.cache
def place_for_groups() -> tuple[Path, int] | None:
    """The group below which this process can make groups and start processes in them, and the version."""
    try:
        candidates = groups_above(Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text())
    except OSError:
        return None
    for folder, version in candidates:
        group = _make(folder, version, 64 << 20)
        if group is not None:
            entered = subprocess.run(
                ["/bin/sh", "-c", 'echo $$ >"$0"', str(group.members)], capture_output=True, timeout=300, check=False
            )
            group.remove()
            if entered.returncode == 0:
                _sweep(folder)
                return folder, version
    return None


def _make(parent: Path, version: int, max_bytes: int) -> MemoryGroup | None:
    group = MemoryGroup(parent / f"{_PREFIX}{os.getpid()}-{time.monotonic_ns()}-{next(_numbers)}", version)
    try:
        group.folder.mkdir()
    except OSError:
        return None
    try:
        if not (group.folder / _LIMIT[version]).exists():
            (parent / "cgroup.subtree_control").write_text("+memory")
        (group.folder / _LIMIT[version]).write_text(str(max_bytes))
    except OSError:
        group.remove()
        return None
    with contextlib.suppress(OSError):  # a kernel without swap accounting has no such file
        (group.folder / _SWAP[version]).write_text(str(max_bytes if version == 1 else 0))
    return group


def groups_above(own: str, mounted: str) -> list[tuple[Path, int]]:
    """Where a new group could be made, with the version, given this process's groups and mounts as /proc tells them:
    below its own group, or beside it, since in version 2 a group with processes divides no memory."""
    found = []
    mounts = [line.split() for line in mounted.splitlines()]
    for _, controllers, path in (line.split(":", 2) for line in own.splitlines()):
        version = 1 if controllers else 2
        if version == 1 and "memory" not in controllers.split(","):
            continue
        for mount in mounts:
            kind, _, options = mount[mount.index("-") + 1 :]
            if kind == ("cgroup" if version == 1 else "cgroup2") and (version == 2 or "memory" in options.split(",")):
                root, top = mount[3], Path(mount[4])
                group = top / os.path.relpath(path, root) if Path(path).is_relative_to(root) else top
                found.append((group, version))
                if version == 2 and group != top:
                    found.append((group.parent, version))
    return found


def _sweep(folder: Path) -> None:
    """Removes what killed processes have left: the kernel keeps every group that is not empty."""
    for group in folder.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - group.stat().st_mtime > _STALE_SECONDS:
                group.rmdir()
