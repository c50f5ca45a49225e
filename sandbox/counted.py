"""A sandbox that reports what is done with it, for metrics and traces; everything else is the backend's."""

from collections.abc import Mapping
from types import TracebackType
from typing import Self

from core.health.totals import Counts, Total
from core.tracing import Span, begin, span
from sandbox.protocol import (
    CommandResult,
    Environment,
    Limits,
    Sandbox,
    SandboxProcess,
    SandboxUnavailable,
    Session,
    WorkspaceRefused,
)


class CountedSandbox:
    """`sandbox.protocol.Sandbox` around another one. What happens is noted in `counts`."""

    def __init__(self, inner: Sandbox, counts: Counts) -> None:
        self._inner, self._counts = inner, counts

    @property
    def name(self) -> str:
        return self._inner.name

    def available(self) -> str | None:
        return self._inner.available()

    def open(self, environment: Environment, limits: Limits = Limits()) -> Session:  # noqa: B008 - immutable
        with span("sandbox open", {"penstock.sandbox": self.name}):
            try:
                session = self._inner.open(environment, limits)
            except (SandboxUnavailable, WorkspaceRefused) as error:
                self._counts.note(Total.SANDBOX_REFUSED, _why(error))
                raise
        self._counts.note(Total.SANDBOX_SESSIONS, self.name)
        return CountedSession(session, self._counts)


class CountedSession:
    """A session whose commands are counted, and are spans; of a command only the program's name is told."""

    def __init__(self, inner: Session, counts: Counts) -> None:
        self._inner, self._counts = inner, counts
        self._open: list[Span] = []

    @property
    def backend(self) -> str:
        return self._inner.backend

    def run(
        self,
        argv: list[str],
        *,
        stdin: bytes = b"",
        limits: Limits | None = None,
        variables: Mapping[str, str] | None = None,
        services: bool = False,
    ) -> CommandResult:
        with span("sandbox run", self._told(argv)) as current:
            try:
                result = self._inner.run(argv, stdin=stdin, limits=limits, variables=variables, services=services)
            except SandboxUnavailable as error:
                self._counts.note(Total.SANDBOX_REFUSED, _why(error))
                raise
            _tell(current, self._counts, result)
        self._counts.note(Total.SANDBOX_COMMANDS, self.backend)
        return result

    def start(
        self,
        argv: list[str],
        *,
        limits: Limits | None = None,
        variables: Mapping[str, str] | None = None,
        services: bool = False,
    ) -> SandboxProcess:
        current = begin("sandbox process", self._told(argv))
        try:
            process = self._inner.start(argv, limits=limits, variables=variables, services=services)
        except SandboxUnavailable as error:
            self._counts.note(Total.SANDBOX_REFUSED, _why(error))
            current.fail(type(error).__name__)
            current.end()
            raise
        self._counts.note(Total.SANDBOX_COMMANDS, self.backend)
        self._open.append(current)
        return CountedProcess(process, self._counts, current)

    def _told(self, argv: list[str]) -> dict[str, str | int]:
        program = argv[0].rpartition("/")[2] if argv else ""
        return {"penstock.sandbox": self.backend, "process.executable.name": program}

    def read(self, path: str, max_bytes: int = 16 << 20) -> bytes:
        return self._inner.read(path, max_bytes)

    def write(self, path: str, content: bytes) -> None:
        self._inner.write(path, content)

    def snapshot(self) -> int:
        return self._inner.snapshot()

    def restore(self, snapshot: int) -> None:
        self._inner.restore(snapshot)

    def drop(self, snapshot: int) -> None:
        self._inner.drop(snapshot)

    def close(self) -> None:
        self._inner.close()
        self._end()

    def _end(self) -> None:
        for one in self._open:
            one.end()
        self._open.clear()

    def __enter__(self) -> Self:
        self._inner.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._inner.__exit__(kind, error, trace)
        self._end()


class CountedProcess:
    """A running command; its span ends as it does."""

    def __init__(self, inner: SandboxProcess, counts: Counts, current: Span) -> None:
        self._inner, self._counts, self._span = inner, counts, current
        self.write_line, self.read_line = inner.write_line, inner.read_line

    def finish(self, timeout: float = 5.0) -> CommandResult:
        result = self._inner.finish(timeout)
        _tell(self._span, self._counts, result)
        self._span.end()
        return result

    def kill(self) -> None:
        self._inner.kill()
        self._span.end()


def _tell(current: Span, counts: Counts, result: CommandResult) -> None:
    current.set("process.exit.code", -1 if result.exit_code is None else result.exit_code)
    current.set("penstock.sandbox.limit", result.limit or "none")
    if result.limit is not None:
        counts.note(Total.SANDBOX_KILLED, result.limit)


def _why(error: Exception) -> str:
    return "unavailable" if isinstance(error, SandboxUnavailable) else "workspace"
