"""What a backend hands to the parts that are the same for all of them: one command, running, contained.

Not a backend itself. A backend starts a `Command` and returns a `Contained`, which can be measured and
killed as a whole.
"""

import os
import select
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .protocol import Limits


@dataclass(frozen=True)
class Command:
    """A command to start in a session. `folder` is a private empty host folder for this command alone."""

    argv: tuple[str, ...]
    variables: Mapping[str, str]
    limits: Limits
    folder: Path


@dataclass(frozen=True)
class Usage:
    """What everything the command started has used so far; CPU in seconds, `processes` and `threads` now."""

    cpu_seconds: float = 0.0
    memory_bytes: int = 0
    processes: int = 0
    threads: int = 0


class Contained(Protocol):
    """A started command. The descriptors belong to whoever reads them and closes them."""

    stdin: int
    stdout: int
    stderr: int
    exited: int
    """A descriptor that is readable when the sandbox has ended."""

    def usage(self) -> Usage: ...

    def confirmed_memory(self) -> int:
        """Memory in bytes again, exactly where `usage` may count shared pages twice; may be slow."""

    def overflowed(self) -> bool:
        """Whether something of it was ended because its memory was full, or is known to have been."""

    def processes(self) -> list[int]:
        """The host's numbers of the processes that may hold files open."""

    def kill(self) -> None:
        """Kills everything; harmless when it is dead. Does not wait."""

    def reap(self, timeout: float) -> None:
        """Kills everything and waits until it is gone. Raises `SandboxUnavailable` when it does not go."""

    def exit_code(self, stderr: bytes) -> int:
        """After `reap`: the command's exit code. Raises `SandboxUnavailable` when it was never started."""


class ProcessHandles:
    """Handles on processes that no other process can take over, to kill them and to wait for their end.

    Any thread may kill; one thread adds, waits and closes."""

    def __init__(self) -> None:
        self._handles: dict[int, int] = {}
        self._lock = threading.Lock()

    def add(self, pid: int) -> None:
        """Takes a handle on a process that is alive now; one that has gone already is left out."""
        with self._lock:
            if pid not in self._handles:
                try:
                    self._handles[pid] = os.pidfd_open(pid)
                except ProcessLookupError:
                    return

    def kill(self) -> None:
        with self._lock:
            for handle in self._handles.values():
                try:
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                except ProcessLookupError:
                    continue

    def wait(self, timeout: float) -> bool:
        """Whether all ended within `timeout` seconds."""
        poll = select.poll()
        with self._lock:
            waiting = set(self._handles.values())
        for handle in waiting:
            poll.register(handle, select.POLLIN)
        deadline = time.monotonic() + timeout
        while waiting:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            for handle, _ in poll.poll(left * 1000):
                waiting.discard(handle)
                poll.unregister(handle)
        return True

    def close(self) -> None:
        with self._lock:
            while self._handles:
                os.close(self._handles.popitem()[1])
