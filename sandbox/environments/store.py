"""The cache of environments: folders named by what they were made from, published whole or not at all.

Whoever makes or uses an environment holds a lock on it (flock, which the kernel releases when the process ends), so
that ten processes build it once, and none in use is evicted. The least recently used go first.
"""

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_POLL_SECONDS = 0.1
_FRESH_SECONDS = 60
_FACTS = "environment.json"


class StoreBusy(Exception):
    """Another process has been making the same environment for too long."""


@dataclass
class Entry:
    """An environment in the cache, which cannot be evicted until `release`."""

    folder: Path
    facts: dict[str, Any]
    lock: int = -1

    def release(self) -> None:
        if self.lock >= 0:
            os.close(self.lock)
            self.lock = -1


@dataclass(frozen=True)
class Store:
    """The environments in `folder`, of at most `most_bytes` in all as far as none is in use."""

    folder: Path
    most_bytes: int

    def get(self, key: str) -> Entry | None:
        """The environment `key`, held; None when it is not there."""
        if not (self.folder / key).is_dir():
            return None
        lock = self._locked(key, fcntl.LOCK_SH, time.monotonic() + 5)
        entry = self._entry(key, lock)
        if entry is None:
            os.close(lock)
        return entry

    def _entry(self, key: str, lock: int) -> Entry | None:
        folder = self.folder / key
        try:
            facts = json.loads((folder / _FACTS).read_text())
            os.utime(folder / _FACTS)
        except (OSError, ValueError):
            return None
        return Entry(folder, facts, lock)

    @contextlib.contextmanager
    def making(self, key: str, seconds: float) -> Iterator["Entry | Path"]:
        """Waits at most `seconds` for others that make the same environment. Yields it, held, if one did; else an
        empty folder to fill, which `publish` takes. Raises `StoreBusy`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + seconds
        while True:
            try:
                lock = self._locked(key, fcntl.LOCK_EX, 0.0)
                break
            except StoreBusy:
                entry = self._there(key)  # whoever made it may use it for long
                if entry is not None:
                    yield entry
                    return
                if time.monotonic() >= deadline:
                    raise
                time.sleep(_POLL_SECONDS)
        try:
            entry = self._entry(key, lock)
            if entry is not None:
                fcntl.flock(lock, fcntl.LOCK_SH)
                lock = -1
                yield entry
                return
            self._sweep()
            staging = Path(tempfile.mkdtemp(prefix=".making-", dir=self.folder))
            held = os.open(staging, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(held, fcntl.LOCK_EX)
            try:
                staging.chmod(0o755)
                yield staging
            finally:
                shutil.rmtree(staging, ignore_errors=True)
                os.close(held)
        finally:
            if lock >= 0:
                os.close(lock)

    def _there(self, key: str) -> Entry | None:
        try:
            return self.get(key)
        except StoreBusy:
            return None

    def publish(self, key: str, made: Path, facts: dict[str, Any]) -> Entry:
        """Puts a folder that `making` gave, with facts about it, into the cache under `key`; evicts others."""
        facts = {**facts, "bytes": _size(made)}
        (made / _FACTS).write_text(json.dumps(facts, indent=1))
        target = self.folder / key
        if target.exists():  # half removed, since it has no facts
            shutil.rmtree(target)
        made.rename(target)
        entry = Entry(target, facts)
        # The caller still holds the exclusive lock: another descriptor of the same file would wait for it.
        self.evict(self.most_bytes, keep=key)
        return entry

    def remembered(self, key: str) -> str:
        """What `remember` stored for `key`; empty for nothing."""
        try:
            return (self.folder / f".{key}.before").read_text()[:40].strip()
        except OSError:
            return ""

    def remember(self, key: str, before: str) -> None:
        """Stores that the versions of this time are used for `key`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=self.folder, prefix=".making-", delete=False) as file:
            file.write(before)
        Path(file.name).replace(self.folder / f".{key}.before")

    def evict(self, most_bytes: int, keep: str = "") -> list[str]:
        """Removes environments that are not in use, the least recently used first, until all have at most
        `most_bytes`. Returns the keys of those removed."""
        listed = sorted(self.entries(), key=lambda row: row["used"])
        total = sum(row["bytes"] for row in listed)
        removed = []
        for row in listed:
            if total <= most_bytes:
                break
            if row["key"] != keep and self._remove(row["key"]):
                total -= row["bytes"]
                removed.append(row["key"])
        return removed

    def _remove(self, key: str) -> bool:
        """Removes an environment; False when it is in use."""
        try:
            lock = self._locked(key, fcntl.LOCK_EX, 0.0)
        except StoreBusy:
            return False
        try:
            (self.folder / key / _FACTS).unlink(missing_ok=True)  # first: without it, it does not count as there
            shutil.rmtree(self.folder / key, ignore_errors=True)
            (self.folder / f".{key}.lock").unlink(missing_ok=True)
        finally:
            os.close(lock)
        return True

    def entries(self) -> list[dict[str, Any]]:
        """One row for each environment: `key`, `bytes`, `used` (seconds since the epoch), and its facts."""
        rows = []
        for folder in sorted(self.folder.iterdir()) if self.folder.is_dir() else ():
            try:
                facts = json.loads((folder / _FACTS).read_text())
                used = (folder / _FACTS).stat().st_mtime
            except (OSError, ValueError):
                continue
            rows.append({**facts, "key": folder.name, "used": used, "bytes": int(facts.get("bytes", 0))})
        return rows

    def _locked(self, key: str, how: int, deadline: float) -> int:
        path = self.folder / f".{key}.lock"
        while True:
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            held = False
            try:
                fcntl.flock(lock, how | fcntl.LOCK_NB)
                held = os.fstat(lock).st_nlink > 0  # else the file was removed with its environment
                if held:
                    return lock
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise StoreBusy("another process is making this environment and has not ended") from None
                time.sleep(_POLL_SECONDS)
            finally:
                if not held:
                    os.close(lock)

    def _sweep(self) -> None:
        """Removes what killed processes left half made."""
        for folder in self.folder.glob(".making-*"):
            with contextlib.suppress(OSError):
                if time.time() - folder.stat().st_mtime < _FRESH_SECONDS:
                    continue  # it may not be locked yet
                if folder.is_file():
                    folder.unlink()
                    continue
                opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)
                finally:
                    os.close(opened)


def _size(folder: Path) -> int:
    """The bytes of a folder's files on disk."""
    total = 0
    for at, _, files in os.walk(folder):
        for name in files:
            total += os.lstat(os.path.join(at, name)).st_blocks * 512  # noqa: PTH118 - many thousand files
    return total
