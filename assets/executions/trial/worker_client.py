"""What runs tests in a session, and the client of the worker that does it for Python: it exchanges JSON lines with it.

The answers come from a sandbox that runs the repository's code: this module checks their shape, the session's
limits bound their size, and they are trusted only about that repository.
"""

import json
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from assets.executions.repository.test_command import TestCommand
from sandbox.environments.services import CONTROL, Services
from sandbox.protocol import (
    WORKSPACE,
    Environment,
    Limits,
    Mount,
    Sandbox,
    SandboxProcess,
    SandboxUnavailable,
    Session,
)
from sandbox.python import PythonRuntime

_TARGET = "/penstock/penstock_worker"
_START = "import sys; sys.path[0] = '/penstock'; from penstock_worker.main import main; sys.path.pop(0); main()"
_BASE_ARGUMENTS = ("-p", "no:cacheprovider", "--capture=sys", "-W", "ignore::pytest.PytestConfigWarning",
                   f"--rootdir={WORKSPACE}", "--continue-on-collection-errors")  # fmt: skip
MEMORY_HEADROOM = 1 << 30
_KILLED = 128 + signal.SIGKILL
_IMPORTING = ("open", "fresh", "behaviour")
"""Operations before which services are started anew."""


class WorkerDied(RuntimeError):
    """The worker ended, did not answer in time, or answered with an error or something invalid."""


class Worker(Protocol):
    """Runs tests in `session`, a clean copy of a repository. `overhead` are the seconds that a run takes beside its
    tests, such as for compiling."""

    session: Session
    limits: Limits
    overhead: float

    def start(self) -> None:
        """Starts getting ready, without waiting for it."""

    def wait(self, timeout: float) -> None:
        """Waits until it is ready. Raises `WorkerDied`."""

    def ask(self, operation: str, timeout: float, **fields: Any) -> dict[str, Any]:
        """Has an operation (`open`, `run`, `try`, `fresh` or `behaviour`) done within about `timeout` seconds. Raises
        `WorkerDied`."""

    def stop(self) -> None: ...

    def close(self) -> None: ...


class PytestWorker:
    """One worker process in its own session on a copy of `root`. `runtime` is the Python of the repository's own
    environment; None for that of Penstock. The services live as long as the process; they are started anew, with the
    data that they had at first, before the repository is imported anew (`open`, `fresh`, `behaviour`)."""

    overhead = 0.0

    def __init__(
        self,
        sandbox: Sandbox,
        root: Path,
        command: TestCommand,
        limits: Limits,
        runtime: PythonRuntime | None = None,
        services: Services | None = None,
    ) -> None:
        if runtime is None:
            from sandbox.python import python_runtime

            runtime = python_runtime()
        self.limits = limits
        self._limits = replace(limits, output_bytes=max(limits.output_bytes, 256 << 20))
        mounts = (*runtime.mounts, Mount(Path(__file__).parent / "worker", _TARGET))
        variables = {
            **runtime.variables,
            "PYTHONHASHSEED": "0",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "NO_COLOR": "1",
        }
        environment = Environment(root, mounts, variables)
        if services is not None:
            environment = services.added_to(environment)
        self._patience = services.seconds if services is not None else 0.0
        self.session: Session = sandbox.open(environment, self._limits)
        self._base = {
            "root": WORKSPACE,
            "sys_path": [f"{WORKSPACE}/{folder}".rstrip("/") for folder in command.sys_path],
            "arguments": [*_BASE_ARGUMENTS, *command.arguments],
            "variables": command.variables,
            "memory": min(MEMORY_HEADROOM, limits.memory_bytes // 2),
            "services": CONTROL if environment.supervisor else "",
        }
        self._python = runtime.executable
        self._process: SandboxProcess | None = None
        self._ready = False

    def start(self) -> None:
        """Starts the process without waiting for it."""
        argv = [self._python, "-c", _START]
        self._process = self.session.start(argv, limits=self._limits, services=True)
        self._ready = False

    def wait(self, timeout: float) -> None:
        """Waits until the process is ready, for `timeout` seconds but at least 20. Raises `WorkerDied`."""
        if not self._ready:
            self._answer(max(20.0, timeout) + self._patience)
            self._ready = True

    def ask(self, operation: str, timeout: float, **fields: Any) -> dict[str, Any]:
        """Sends one command and waits up to `timeout` seconds for its answer. Raises `WorkerDied`."""
        if self._process is None:
            self.start()
        process = self._running
        self.wait(timeout)
        line = json.dumps({"op": operation, **self._base, **fields}, separators=(",", ":")).encode()
        try:
            process.write_line(line)
        except (BrokenPipeError, OSError) as error:
            raise self._ended(process) from error
        return self._answer(timeout + (self._patience if operation in _IMPORTING else 0.0))

    @property
    def _running(self) -> SandboxProcess:
        if self._process is None:
            raise WorkerDied("the worker is not running")
        return self._process

    def _answer(self, timeout: float) -> dict[str, Any]:
        process = self._running
        try:
            line = process.read_line(timeout)
        except TimeoutError as error:
            self.stop()
            raise WorkerDied(f"the worker did not answer within {timeout:.0f} s") from error
        if line is None:
            raise self._ended(process)
        try:
            answer = json.loads(line)
        except ValueError as error:
            raise WorkerDied("the worker's answer is not JSON") from error
        if not isinstance(answer, dict):
            raise WorkerDied("the worker's answer is not a JSON object")
        if "error" in answer:
            raise WorkerDied(str(answer["error"])[:2000])
        return answer

    def _ended(self, process: SandboxProcess) -> WorkerDied:
        """Why it has ended. Raises `SandboxUnavailable` if it was killed, which nobody inside has a reason to do: that
        says nothing about the repository."""
        result = process.finish(1.0)
        self._process = None
        if result.exit_code == _KILLED and result.limit is None:
            raise SandboxUnavailable(
                "the process that runs the tests, or its sandbox, was killed; the machine may be short of memory"
            )
        tail = result.stderr[-500:].decode(errors="replace").strip()
        why = f" (limit: {result.limit})" if result.limit else ""
        return WorkerDied(f"the worker ended{why}{': ' + tail if tail else ''}")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None
        self._ready = False

    def close(self) -> None:
        self.stop()
        self.session.close()


class Spare:
    """A worker that is started in the background, so that it has imported pytest when it is needed."""

    def __init__(self, make: Callable[[], Worker]) -> None:
        self._worker: Worker | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._open, args=(make,), daemon=True, name="spare-worker")
        self._thread.start()

    def _open(self, make: Callable[[], Worker]) -> None:
        worker = None
        try:
            worker = make()
            worker.start()
            self._worker = worker
        except BaseException as error:
            if worker is not None:
                worker.close()
            self._error = error

    def take(self) -> Worker:
        """Waits until it has started and returns it; raises what starting it raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        worker, self._worker = self._worker, None
        if worker is None:
            raise WorkerDied("the spare worker is already in use")
        return worker

    def close(self) -> None:
        self._thread.join()
        if self._worker is not None:
            self._worker.close()
            self._worker = None
