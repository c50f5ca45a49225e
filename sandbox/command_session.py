"""What sessions of all backends share: running commands, snapshots, and closing, each in the right order of locks."""

import contextlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Protocol, Self

from .bounded_process import BoundedProcess
from .protocol import (
    CommandResult,
    Environment,
    Limits,
    SandboxProcess,
    SandboxUnavailable,
    WorkspaceRefused,
)

BASE_VARIABLES = {
    "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin",
    "HOME": "/tmp",  # noqa: S108 - a path inside the sandbox
    "TMPDIR": "/tmp",  # noqa: S108
    "LANG": "C.UTF-8",
}


class WorkspaceSnapshots(Protocol):
    """Where a session keeps snapshots of its workspace. All methods raise `OSError` and `SandboxUnavailable`."""

    def take(self) -> int:
        """Raises `WorkspaceRefused`."""

    def restore(self, number: int) -> object:
        """Raises `ValueError` for an unknown snapshot; after any other error the workspace is undefined."""

    def drop(self, number: int) -> None:
        """Raises `ValueError` for an unknown snapshot."""


class CommandSession(ABC):
    """`sandbox.protocol.Session` without reading and writing files. A subclass starts commands in `_begin`, and gives
    back what it holds in `_release`, which is called once, after all commands have ended."""

    _snapshots: WorkspaceSnapshots

    def __init__(self, backend: str, environment: Environment, limits: Limits) -> None:
        self._backend = backend
        self._limits = limits
        self._variables = {**BASE_VARIABLES, **environment.variables}
        self._running: set[BoundedProcess] = set()
        self._lock = threading.RLock()
        """Held while a command starts, and while nothing may run."""
        self._closed = False

    @abstractmethod
    def _begin(
        self,
        argv: list[str],
        stdin: bytes | None,
        limits: Limits,
        variables: dict[str, str],
        services: bool,
    ) -> BoundedProcess:
        """Starts a command, with the lock held. `variables` are all that it gets."""

    @abstractmethod
    def _release(self) -> None: ...

    def _ran(self, result: CommandResult, limits: Limits, services: bool) -> None:  # noqa: B027 - most need not know
        """Told of each command of `run` that has ended."""

    @property
    def backend(self) -> str:
        return self._backend

    def run(
        self,
        argv: list[str],
        *,
        stdin: bytes = b"",
        limits: Limits | None = None,
        variables: Mapping[str, str] | None = None,
        services: bool = False,
    ) -> CommandResult:
        process = self._started(argv, stdin, limits, variables, services)
        try:
            result = process.result()
        finally:
            process.kill()
            with self._lock:
                self._running.discard(process)
        self._ran(result, limits or self._limits, services)
        return result

    def start(
        self,
        argv: list[str],
        *,
        limits: Limits | None = None,
        variables: Mapping[str, str] | None = None,
        services: bool = False,
    ) -> SandboxProcess:
        return self._started(argv, None, limits, variables, services)

    def _started(
        self,
        argv: list[str],
        stdin: bytes | None,
        limits: Limits | None,
        variables: Mapping[str, str] | None,
        services: bool,
    ) -> BoundedProcess:
        if not argv or argv[0].startswith("-") or any("\0" in part for part in argv):
            raise ValueError(f"{argv!r} is not a command: pass a program and its arguments")
        merged = {**self._variables, **(variables or {})}
        for name, value in merged.items():
            if not name or "=" in name or "\0" in name or "\0" in value:
                raise ValueError(f"{name!r} cannot be an environment variable")
        with self._lock:
            self._check_open()
            self._running = {process for process in self._running if not process.ended}
            process = self._begin(argv, stdin, limits or self._limits, merged, services)
            self._running.add(process)
        return process

    def snapshot(self) -> int:
        with self._quiet():
            try:
                return self._snapshots.take()
            except OSError as error:
                raise SandboxUnavailable(f"the workspace cannot be copied: {error}") from error

    def restore(self, snapshot: int) -> None:
        try:
            with self._quiet():
                self._restore(snapshot)
        except SandboxUnavailable:
            self.close()
            raise
        except (OSError, WorkspaceRefused) as error:
            self.close()
            raise SandboxUnavailable(f"the workspace cannot be restored: {error}") from error

    def _restore(self, snapshot: int) -> None:
        self._snapshots.restore(snapshot)

    def drop(self, snapshot: int) -> None:
        with self._lock:
            self._check_open()
            try:
                self._snapshots.drop(snapshot)
            except OSError as error:
                raise SandboxUnavailable(f"the snapshot cannot be removed: {error}") from error

    @contextlib.contextmanager
    def _quiet(self) -> Iterator[None]:
        """While no command runs, and none can start."""
        with self._lock:
            self._check_open()
            if any(not process.ended for process in self._running):
                raise ValueError("a command is running in the session: wait for its end, or kill it")
            yield

    def _check_open(self) -> None:
        if self._closed:
            raise SandboxUnavailable("the session is closed")

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            running, self._running = self._running, set()
        for process in running:
            process.kill()
        self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
