"""The interface between a backend and the code that all backends share: one command, running in its sandbox.

Not a backend itself. A backend starts a `Command` and returns a `Contained`, which can be measured and
killed as a whole.
"""

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .protocol import Limit, Limits


@dataclass(frozen=True)
class Command:
    """A command to start in a session. `folder` is an empty host folder for this command only."""

    argv: tuple[str, ...]
    variables: Mapping[str, str]
    limits: Limits
    folder: Path


@dataclass(frozen=True)
class Usage:
    """What all processes of the command have used so far; `memory_bytes`, `processes` and `threads` are as of now."""

    cpu_seconds: float = 0.0
    memory_bytes: int = 0
    processes: int = 0
    threads: int = 0


class Contained(Protocol):
    """A started command. The caller closes the descriptors."""

    stdin: int
    stdout: int
    stderr: int
    exited: int
    """A descriptor that becomes readable when the sandbox has ended."""

    def usage(self) -> Usage: ...

    def confirmed_memory(self) -> int:
        """Memory in use, in bytes, with each shared page counted once, unlike in `usage`; may be slow."""

    def overflowed(self) -> bool:
        """Whether the kernel has killed a process because memory was full, or memory was above its limit at the end."""

    def exhausted(self) -> Limit | None:
        """After `reap`: the limit whose excess ended the sandbox itself, by the kernel's hand or by a crash."""

    def processes(self) -> list[int]:
        """Host pids of the processes that may hold files open."""

    def kill(self) -> None:
        """Kills all processes without waiting for their end; does nothing when they have ended."""

    def reap(self, timeout: float) -> None:
        """Kills all processes and waits for their end. Raises `SandboxUnavailable` when one does not end in time."""

    def exit_code(self, stderr: bytes) -> int:
        """The command's exit code, after `reap`. Raises `SandboxUnavailable` when the command was never started."""


class ProcessHandles:
    """Handles (pidfds) to kill processes and to wait for their end, safe against reused pids.

    Any thread may kill; one thread adds, waits and closes."""

    def __init__(self) -> None:
        self._handles: dict[int, int] = {}
        self._lock = threading.Lock()

    def add(self, pid: int) -> None:
        """Opens a handle of a running process; ignores one that has ended."""
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


class Launcher(Protocol):
    """Starts the commands of one session."""

    def __call__(self, command: Command) -> Contained:
        """Raises `OSError` and `SandboxUnavailable`."""

    def expect(self, limits: Limits) -> None:
        """Another command with these limits may follow soon. Returns at once."""


class PlainLauncher:
    """A `Launcher` that starts each command only when it is asked to."""

    def __init__(self, start: Callable[[Command], Contained]) -> None:
        self._start = start

    def __call__(self, command: Command) -> Contained:
        return self._start(command)

    def expect(self, limits: Limits) -> None:
        """Nothing is prepared."""
