"""A session of any backend: the private workspace copy, its files, and the commands that run on it."""

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from .bounded_process import BoundedProcess
from .confined_files import read_confined, write_confined
from .contained import Command, Launcher
from .disk_usage import DiskWatch
from .limit_watch import LimitWatch
from .protocol import CommandResult, Environment, Limits, SandboxProcess, SandboxUnavailable, WorkspaceRefused
from .scratch import Scratch
from .snapshots import Snapshots
from .workspace_copy import copy_workspace

BASE_VARIABLES = {
    "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin",
    "HOME": "/tmp",  # noqa: S108 - a path inside the sandbox
    "TMPDIR": "/tmp",  # noqa: S108
    "LANG": "C.UTF-8",
}
SERVICE_PROCESSES = 128
"""How many more processes a command may have when services run beside it: a database has one for each connection."""

_SHORT_SECONDS = 2.0
"""A command that took less is expected to be followed by others for which the time of starting matters."""


def checked_variables(argv: list[str], variables: dict[str, str]) -> dict[str, str]:
    """The variables. Raises `ValueError` when they or the command cannot be passed to a program."""
    if not argv or argv[0].startswith("-") or any("\0" in part for part in argv):
        raise ValueError(f"{argv!r} is not a command: pass a program and its arguments")
    for name, value in variables.items():
        if not name or "=" in name or "\0" in name or "\0" in value:
            raise ValueError(f"{name!r} cannot be an environment variable")
    return variables


class PrivateSession:
    """`sandbox.protocol.Session`; starts a new sandbox for each command.

    `prepare` gets the session's folder and an exit stack, which is closed with the session. It sets up what the
    backend needs besides the workspace, and returns what starts commands. `owner` is the host's user
    and group that the workspace copy belongs to; None means those of this process."""

    def __init__(
        self,
        backend: str,
        environment: Environment,
        limits: Limits,
        prepare: Callable[[Path, contextlib.ExitStack], Launcher],
        scratch: Path | None = None,
        owner: int | None = None,
    ) -> None:
        self._backend = backend
        self._limits = limits
        self._variables = {**BASE_VARIABLES, **environment.variables}
        self._supervisor = environment.supervisor
        self._numbers = itertools.count(1)
        self._running: set[BoundedProcess] = set()
        self._lock = threading.Lock()
        self._closed = False
        self._owner = owner
        self._undo = contextlib.ExitStack()
        try:
            self._scratch = Scratch(scratch)
        except OSError as error:
            raise SandboxUnavailable(
                f"the session's folder cannot be created: {error}; free some disk space"
            ) from error
        try:
            self._workspace = self._scratch.folder / "workspace"
            copied = copy_workspace(environment.workspace, self._workspace, limits.disk_bytes, owner)
            self._disk = DiskWatch(self._workspace, copied.size)
            snapshots = self._scratch.folder / "snapshots"
            self._snapshots = Snapshots(self._workspace, snapshots, limits.disk_bytes, owner)
            self._launch = prepare(self._scratch.folder, self._undo)
        except OSError as error:
            self._undo.close()
            self._scratch.remove()
            raise SandboxUnavailable(f"a session on {environment.workspace} cannot be opened: {error}") from error
        except BaseException:
            self._undo.close()
            self._scratch.remove()
            raise

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
        process = self._begin(argv, stdin, limits, variables, services)
        try:
            result = process.result()
        finally:
            process.kill()
            with self._lock:
                self._running.discard(process)
        if result.wall_seconds < _SHORT_SECONDS and not services:
            self._launch.expect(limits or self._limits)
        return result

    def start(
        self,
        argv: list[str],
        *,
        limits: Limits | None = None,
        variables: Mapping[str, str] | None = None,
        services: bool = False,
    ) -> SandboxProcess:
        return self._begin(argv, None, limits, variables, services)

    def _begin(
        self,
        argv: list[str],
        stdin: bytes | None,
        limits: Limits | None,
        variables: Mapping[str, str] | None,
        services: bool,
    ) -> BoundedProcess:
        merged = checked_variables(argv, {**self._variables, **(variables or {})})
        limits = limits or self._limits
        supervised = services and bool(self._supervisor)
        if supervised:
            # Not as its own variables: they could make the supervisor load code of the repository.
            argv = [*self._supervisor, *(f"{name}={value}" for name, value in merged.items()), "--", *argv]
            merged = dict(BASE_VARIABLES)
            limits = replace(limits, processes=limits.processes + SERVICE_PROCESSES)
        folder = self._scratch.folder / "commands" / str(next(self._numbers))
        with self._lock:
            if self._closed:
                raise SandboxUnavailable("the session is closed")
            self._running = {process for process in self._running if not process.ended}
            started_ns = time.time_ns()
            try:
                folder.mkdir(parents=True, mode=0o700)
                contained = self._launch(Command(tuple(argv), merged, limits, folder, supervised))
            except OSError as error:
                raise SandboxUnavailable(f"{self._backend} could not be started: {error}") from error
            watch = LimitWatch(contained, limits, self._disk, started_ns)
            process = BoundedProcess(contained, limits, watch, stdin)
            self._running.add(process)
        return process

    def read(self, path: str, max_bytes: int = 16 << 20) -> bytes:
        self._check_open()
        return read_confined(self._workspace, path, max_bytes)

    def write(self, path: str, content: bytes) -> None:
        self._check_open()
        if len(content) > self._limits.file_bytes:
            raise ValueError(f"{path!r}: {len(content):,} bytes exceed the file limit of {self._limits.file_bytes:,}")
        write_confined(self._workspace, path, content, self._owner)

    def snapshot(self) -> int:
        with self._quiet():
            try:
                return self._snapshots.take()
            except OSError as error:
                raise SandboxUnavailable(f"the workspace cannot be copied: {error}") from error

    def restore(self, snapshot: int) -> None:
        try:
            with self._quiet():
                self._disk = DiskWatch(self._workspace, self._snapshots.restore(snapshot))
        except (OSError, WorkspaceRefused) as error:
            self.close()
            raise SandboxUnavailable(f"the workspace cannot be restored: {error}") from error

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
        self._undo.close()
        self._scratch.remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
