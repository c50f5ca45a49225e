"""A session on this machine: the private workspace copy, its files, and a sandbox for each command."""

import contextlib
import itertools
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from .bounded_process import BoundedProcess
from .command_session import BASE_VARIABLES, CommandSession
from .confined_files import read_confined, write_confined
from .contained import Command, Launcher
from .disk_usage import DiskWatch
from .limit_watch import LimitWatch
from .protocol import CommandResult, Environment, Limits, SandboxUnavailable
from .scratch import Scratch
from .snapshots import Snapshots
from .workspace_copy import copy_workspace

SERVICE_PROCESSES = 128
"""How many more processes a command may have when services run beside it: a database has one for each connection."""

_SHORT_SECONDS = 2.0
"""A command that took less is expected to be followed by others for which the time of starting matters."""


class PrivateSession(CommandSession):
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
        super().__init__(backend, environment, limits)
        self._supervisor = environment.supervisor
        self._numbers = itertools.count(1)
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
            self._snapshots: Snapshots = Snapshots(self._workspace, snapshots, limits.disk_bytes, owner)
            self._launch = prepare(self._scratch.folder, self._undo)
        except OSError as error:
            self._undo.close()
            self._scratch.remove()
            raise SandboxUnavailable(f"a session on {environment.workspace} cannot be opened: {error}") from error
        except BaseException:
            self._undo.close()
            self._scratch.remove()
            raise

    def _begin(
        self,
        argv: list[str],
        stdin: bytes | None,
        limits: Limits,
        variables: dict[str, str],
        services: bool,
    ) -> BoundedProcess:
        supervised = services and bool(self._supervisor)
        if supervised:
            # Not as its own variables: they could make the supervisor load code of the repository.
            argv = [*self._supervisor, *(f"{name}={value}" for name, value in variables.items()), "--", *argv]
            variables = dict(BASE_VARIABLES)
            limits = replace(limits, processes=limits.processes + SERVICE_PROCESSES)
        folder = self._scratch.folder / "commands" / str(next(self._numbers))
        started_ns = time.time_ns()
        try:
            folder.mkdir(parents=True, mode=0o700)
            contained = self._launch(Command(tuple(argv), variables, limits, folder, supervised))
        except OSError as error:
            raise SandboxUnavailable(f"{self._backend} could not be started: {error}") from error
        return BoundedProcess(contained, limits, LimitWatch(contained, limits, self._disk, started_ns), stdin)

    def _ran(self, result: CommandResult, limits: Limits, services: bool) -> None:
        if result.wall_seconds < _SHORT_SECONDS and not services:
            self._launch.expect(limits)

    def read(self, path: str, max_bytes: int = 16 << 20) -> bytes:
        self._check_open()
        return read_confined(self._workspace, path, max_bytes)

    def write(self, path: str, content: bytes) -> None:
        self._check_open()
        if len(content) > self._limits.file_bytes:
            raise ValueError(f"{path!r}: {len(content):,} bytes exceed the file limit of {self._limits.file_bytes:,}")
        write_confined(self._workspace, path, content, self._owner)

    def _restore(self, snapshot: int) -> None:
        self._disk = DiskWatch(self._workspace, self._snapshots.restore(snapshot))

    def _release(self) -> None:
        self._undo.close()
        self._scratch.remove()
