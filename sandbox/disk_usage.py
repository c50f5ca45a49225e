"""Measures the size of a workspace copy and detects when it exceeds its limit, without walking it all the time.

It is walked when the file system's free space or free inodes have fallen enough to matter, every few seconds in any
case, and when a command ends. Files that are deleted but still open are not seen by a walk; they are found among the
open files of the sandbox's processes.
"""
# Paths are plain strings for speed: there may be very many.
# ruff: noqa: PTH116, PTH208

import os
import stat
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from .protocol import Limit

_MAX_DEPTH = 200
_BYTES_PER_ENTRY = 512
_EVERY_SECONDS = 2.0
_SMALL_WALK_SECONDS = 0.005


@dataclass
class DiskUsage:
    """`size` is in bytes on disk, `largest` the length in bytes of the largest file changed since the given time.
    `hidden` means that a part could not be walked (nested too deep, unreadable, or too many entries)."""

    size: int = 0
    largest: int = 0
    entries: int = 0
    hidden: bool = False


def measure(folder: Path, changed_since_ns: int = 0, max_entries: int = 2_000_000) -> DiskUsage:
    """Walks `folder` without following links. What is deleted during the walk is not counted."""
    usage = DiskUsage()
    try:
        root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return usage
    try:
        _walk(root, usage, changed_since_ns, max_entries, 0)
    finally:
        os.close(root)
    return usage


def _walk(folder: int, usage: DiskUsage, since: int, max_entries: int, depth: int) -> None:
    if depth > _MAX_DEPTH:
        usage.hidden = True
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            usage.entries += 1
            if usage.entries > max_entries:
                usage.hidden = True
                return
            try:
                facts = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            usage.size += facts.st_blocks * 512 + _BYTES_PER_ENTRY
            if stat.S_ISREG(facts.st_mode):
                if facts.st_ctime_ns >= since:
                    usage.largest = max(usage.largest, facts.st_size)
            elif stat.S_ISDIR(facts.st_mode):
                try:
                    inner = os.open(entry.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
                except PermissionError:
                    usage.hidden = True
                    continue
                except OSError:
                    continue
                try:
                    _walk(inner, usage, since, max_entries, depth + 1)
                finally:
                    os.close(inner)


def deleted_but_open(folder: Path, processes: Iterable[int]) -> int:
    """Bytes on disk of files that were deleted from `folder`'s file system and that `processes` still have open."""
    device = folder.stat().st_dev
    seen: dict[int, int] = {}
    for process in processes:
        try:
            names = os.listdir(f"/proc/{process}/fd")
        except OSError:
            continue
        for name in names:
            try:
                facts = os.stat(f"/proc/{process}/fd/{name}")
            except OSError:
                continue
            if facts.st_nlink == 0 and facts.st_dev == device and stat.S_ISREG(facts.st_mode):
                seen[facts.st_ino] = facts.st_blocks * 512
    return sum(seen.values())


class DiskWatch:
    """Watches the workspace copy of a session during its commands."""

    def __init__(self, workspace: Path, used: int) -> None:
        self._workspace = workspace
        self._used = used
        self._walked_at = time.monotonic()
        self._walk_seconds = 0.0
        self._free, self._inodes = self._free_now()

    def _free_now(self) -> tuple[int, int]:
        facts = os.statvfs(self._workspace)
        return facts.f_bfree * facts.f_frsize, facts.f_ffree

    def check(
        self, max_bytes: int, file_bytes: int, since_ns: int, processes: Callable[[], Iterable[int]], last: bool = False
    ) -> Limit | None:
        """The limit that is exceeded, or None; walks only when one may be. `last` means that the command has ended."""
        now = time.monotonic()
        free, inodes = self._free_now()
        room = max(max_bytes - self._used, 0)
        fallen = self._free - free
        due = (
            fallen >= min(max(room // 2, 1 << 20), file_bytes)
            or self._inodes - inodes >= max(room // 8192, 1000)
            or now - self._walked_at >= max(_EVERY_SECONDS, 20 * self._walk_seconds)
        )
        if last:
            due = due or fallen >= room or self._walk_seconds < _SMALL_WALK_SECONDS
        elif now - self._walked_at < 10 * self._walk_seconds:
            due = False
        if not due:
            return None
        began = time.thread_time()
        usage = measure(self._workspace, since_ns)
        self._walked_at = time.monotonic()
        self._walk_seconds = time.thread_time() - began
        self._used = usage.size + deleted_but_open(self._workspace, processes())
        self._free, self._inodes = free, inodes
        if usage.largest >= file_bytes:
            return Limit.FILE_SIZE
        if self._used > max_bytes or (usage.hidden and fallen > max_bytes):
            return Limit.DISK
        return None
