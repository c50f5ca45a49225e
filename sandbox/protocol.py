"""The sandbox protocol: an isolated place to run commands on a private copy of a workspace.

Not for scheduling or for judging results. Infrastructure failure raises `SandboxUnavailable`; a
command that fails, or that a limit ends, is an ordinary `CommandResult`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

WORKSPACE = "/workspace"
"""Where a session's private copy of the workspace is seen inside."""


class SandboxUnavailable(RuntimeError):
    """The sandbox could not be started or died under us: retry elsewhere, never blame the command."""


class WorkspaceRefused(ValueError):
    """The workspace cannot be copied: too large, or it holds something that is no file, folder or link."""


class Limit(StrEnum):
    """What ended a command before its own end."""

    WALL = "wall"
    CPU = "cpu"
    MEMORY = "memory"
    PROCESSES = "processes"
    FILE_SIZE = "file-size"
    DISK = "disk"
    OUTPUT = "output"


@dataclass(frozen=True)
class Limits:
    """Upper bounds of one command and everything that it starts."""

    wall_seconds: float = 60.0
    cpu_seconds: float = 60.0
    memory_bytes: int = 2 << 30
    processes: int = 64
    """At one moment; threads are held to eight times as many."""
    file_bytes: int = 256 << 20
    """The largest single file a command may write."""
    disk_bytes: int = 1 << 30
    """The most the workspace copy may grow to."""
    output_bytes: int = 4 << 20
    """Of standard output and standard error each."""

    def with_wall(self, seconds: float) -> "Limits":
        return replace(self, wall_seconds=seconds)


@dataclass(frozen=True)
class Mount:
    """A host path shown inside, read-only, at `target` (absolute)."""

    source: Path
    target: str


@dataclass(frozen=True)
class Environment:
    """What a session starts from. `workspace` is copied, never written to; nothing of the host's
    environment variables is inherited."""

    workspace: Path
    mounts: tuple[Mount, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CommandResult:
    """How a command ended. `exit_code` is None when it was ended by a limit or a signal of ours, 127 when the
    program was not found, and 128 + n when it died of signal n. `stdout` and `stderr` are cut at the output
    limit; of a command that was talked to by lines, `stdout` holds what `read_line` did not return."""

    exit_code: int | None
    stdout: bytes
    stderr: bytes
    wall_seconds: float
    limit: Limit | None = None

    @property
    def ok(self) -> bool:
        return self.exit_code == 0


class SandboxProcess(Protocol):
    """A running command that is talked to by lines over its standard input and output."""

    def write_line(self, line: bytes) -> None:
        """Sends one line. Raises `BrokenPipeError` when the process has ended."""

    def read_line(self, timeout: float) -> bytes | None:
        """The next line of standard output without its newline; None at end of output.
        Raises `TimeoutError` after `timeout` seconds without one."""

    def finish(self, timeout: float = 5.0) -> CommandResult:
        """Closes standard input, waits, kills after `timeout` seconds, and says how it ended."""

    def kill(self) -> None:
        """Ends the process and everything it started."""


class Session(Protocol):
    """One private workspace copy inside the sandbox. Close it; closing twice is harmless."""

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
        """Runs a command in the workspace to its end. Raises `SandboxUnavailable`."""

    def start(
        self,
        argv: list[str],
        *,
        limits: Limits | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> SandboxProcess:
        """Starts a command for talking to by lines; the limits hold for its whole life. Raises `SandboxUnavailable`."""

    def read(self, path: str, max_bytes: int = 16 << 20) -> bytes:
        """Reads a workspace file by relative path. Raises `FileNotFoundError`, or `ValueError` for a
        path that leads out of the workspace (symbolic links included) or a file above `max_bytes`."""

    def write(self, path: str, content: bytes) -> None:
        """Writes a workspace file by relative path, making its folders. Raises `ValueError` as `read` does."""

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Sandbox(Protocol):
    """A backend. `name` is what settings, evidence and `penstock sandbox probe` call it."""

    @property
    def name(self) -> str: ...

    def available(self) -> str | None:
        """None when sessions can be opened here, else one sentence: what is missing and how to get it."""

    def open(self, environment: Environment, limits: Limits = Limits()) -> Session:
        """Opens a session. Raises `SandboxUnavailable`, or `WorkspaceRefused` for what the workspace holds."""
