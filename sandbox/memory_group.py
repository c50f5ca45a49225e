"""A memory cgroup (version 1 or 2) for one command, where this process may create one. With it, the kernel limits the
memory of all the command's processes together, with their in-memory files and shared memory.

Root may create one nearly everywhere; another user where cgroups are delegated, as systemd does for a user's services.
https://docs.kernel.org/admin-guide/cgroup-v2.html
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
    """One cgroup. A process enters it when its pid is written to the file `members`; its children start in it."""

    folder: Path
    version: int

    @property
    def members(self) -> Path:
        return self.folder / "cgroup.procs"

    def used_bytes(self) -> int:
        """Memory that the kernel cannot reclaim: anonymous pages and in-memory files. Each page counts once."""
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
        """Removes the cgroup once its processes have ended; one not empty in time is removed by a later process."""
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
    """A new cgroup limited to `max_bytes`, without swap; None where this process cannot create one."""
    parent = parent_group()
    return None if parent is None else _make(*parent, max_bytes)


@functools.cache
def parent_group() -> tuple[Path, int] | None:
    """The cgroup in which this process can create others and start processes in them, and its version."""
    try:
        candidates = candidate_groups(Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text())
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
    with contextlib.suppress(OSError):  # a kernel without swap accounting lacks the file
        (group.folder / _SWAP[version]).write_text(str(max_bytes if version == 1 else 0))
    return group


def candidate_groups(own: str, mounted: str) -> list[tuple[Path, int]]:
    """The cgroups in which one could be created, with their versions, from the contents of /proc/self/cgroup and
    /proc/self/mountinfo: this process's own, and in version 2 also its parent, because there a cgroup that has
    processes cannot limit the memory of those within it."""
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
    """Removes cgroups that killed processes left behind. The kernel refuses to remove those that are not empty."""
    for group in folder.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - group.stat().st_mtime > _STALE_SECONDS:
                group.rmdir()
