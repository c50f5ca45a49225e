"""The sandbox protocol: an isolated place to run commands on a private copy of a workspace.

Not for scheduling or for judging results. Infrastructure failure raises `SandboxUnavailable`; a
command that fails, or that a limit ends, is an ordinary `CommandResult`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

WORKSPACE = "/workspace"
"""The path, inside the sandbox, of the session's private copy of the workspace."""


class SandboxUnavailable(RuntimeError):
    """The sandbox could not be started, or failed while it ran. It is not the command's fault; retry elsewhere."""


class WorkspaceRefused(ValueError):
    """The workspace cannot be copied: it is too large, or holds something that is not a file, folder or link."""


class Limit(StrEnum):
    """The limit that a command exceeded, for which it was killed."""

    WALL = "wall"
    CPU = "cpu"
    MEMORY = "memory"
    PROCESSES = "processes"
    FILE_SIZE = "file-size"
    DISK = "disk"
    OUTPUT = "output"


@dataclass(frozen=True)
class Limits:
    """Upper bounds for one command and all processes it starts."""

    wall_seconds: float = 60.0
    cpu_seconds: float = 60.0
    memory_bytes: int = 2 << 30
    processes: int = 64
    """At the same time; eight times as many threads are allowed."""
    file_bytes: int = 256 << 20
    """The largest single file a command may write."""
    disk_bytes: int = 1 << 30
    """The largest size of the workspace copy."""
    output_bytes: int = 4 << 20
    """Each for standard output and standard error."""

    def with_wall(self, seconds: float) -> "Limits":
        return replace(self, wall_seconds=seconds)


@dataclass(frozen=True)
class Mount:
    """Mounts a host path read-only at `target`, an absolute path inside the sandbox."""

    source: Path
    target: str


@dataclass(frozen=True)
class Environment:
    """What a session starts from. `workspace` is copied and never written to; no environment variable of the host is
    inherited."""

    workspace: Path
    mounts: tuple[Mount, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CommandResult:
    """How a command ended. `exit_code` is None when a limit or `SandboxProcess.kill` ended it, 127 when the program was
    not found, and 128 + n when signal n killed it. `stdout` and `stderr` are cut at the output limit; after
    `Session.start`, `stdout` holds only what `read_line` did not return."""

    exit_code: int | None
    stdout: bytes
    stderr: bytes
    wall_seconds: float
    limit: Limit | None = None

    @property
    def ok(self) -> bool:
        return self.exit_code == 0


def in_folder(folder: str, command: Sequence[str]) -> list[str]:
    """The command line that runs a command in a folder of the workspace ("" for its root)."""
    return ["/bin/sh", "-c", 'cd "./$1" && shift && exec "$@"', "sh", folder or ".", *command]


class SandboxProcess(Protocol):
    """A running command; the caller exchanges lines with it over its standard input and output."""

    def write_line(self, line: bytes) -> None:
        """Sends one line. Raises `BrokenPipeError` when the process has ended."""

    def read_line(self, timeout: float) -> bytes | None:
        """The next line of standard output without its newline; None at the end of the output.
        Raises `TimeoutError` when there is none within `timeout` seconds."""

    def finish(self, timeout: float = 5.0) -> CommandResult:
        """Closes standard input, waits, kills the command after `timeout` seconds, and returns how it ended."""

    def kill(self) -> None:
        """Kills the command and all processes it started."""


class Session(Protocol):
    """A private workspace copy and the commands that run on it. Must be closed; closing it again does nothing."""

    @property
    def backend(self) -> str: ...

    def run(
        self,
        argv: list[str],
        *,
        stdin: bytes = b"",
        limits: Limits | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> CommandResult:
        """Runs a command in the workspace and waits for its end. Raises `SandboxUnavailable`."""

    def start(
        self,
        argv: list[str],
        *,
        limits: Limits | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> SandboxProcess:
        """Starts a command to exchange lines with; the limits cover its whole run. Raises `SandboxUnavailable`."""

    def read(self, path: str, max_bytes: int = 16 << 20) -> bytes:
        """Reads a workspace file by relative path. Raises `FileNotFoundError`, or `ValueError` for a path that leads
        out of the workspace (also through symbolic links), for what is not a regular file, or above `max_bytes`."""

    def write(self, path: str, content: bytes) -> None:
        """Writes a workspace file by relative path, and creates its folders. Raises `ValueError` as `read` does, and
        for content above the session's limit for one file."""

    def snapshot(self) -> int:
        """Keeps a copy of the workspace as it is now, and returns its number. No command may be running. Raises
        `WorkspaceRefused` for what `Sandbox.open` refuses too, `ValueError` and `SandboxUnavailable`."""

    def restore(self, snapshot: int) -> None:
        """Makes the workspace what it was; the snapshot stays. No command may be running. Raises `ValueError` for an
        unknown snapshot, and `SandboxUnavailable`, after which the session is closed."""

    def drop(self, snapshot: int) -> None:
        """Gives up a snapshot. Raises `ValueError` for an unknown one, and `SandboxUnavailable`."""

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Sandbox(Protocol):
    """A backend. `name` is its name in settings, evidence and the output of `penstock sandbox probe`."""

    @property
    def name(self) -> str: ...

    def available(self) -> str | None:
        """None when sessions can be opened on this machine, else what is missing or wrong, and what to do."""

    def open(self, environment: Environment, limits: Limits = Limits()) -> Session:
        """Opens a session. Raises `SandboxUnavailable`, `WorkspaceRefused` for the content of the workspace, or
        `ValueError` for a mount that is not allowed."""
