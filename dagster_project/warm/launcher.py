"""The warm run launcher: a Dagster `RunLauncher` that makes the warm process fork a worker for each run.

The worker's process id and start time are stored as a tag of the run, so that termination and health checks work
without the warm process and across its restarts. If the warm process is gone, the launcher starts it again.
"""

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from dagster import DagsterRun, Field, StringSource

from core.processes import started_ticks
from dagster_project.warm.dagster_internals import (
    CheckRunHealthResult,
    ConfigurableClass,
    ConfigurableClassData,
    LaunchRunContext,
    RunLauncher,
    WorkerStatus,
    serialised_instance,
)
from dagster_project.warm.listening import listening
from dagster_project.warm.process import ROOT

WORKER_TAG = "penstock/worker"
LAUNCH_TIMEOUT = 120.0
"""In seconds, for one launch with the start of the warm process, whose imports take long on a busy machine."""


class WarmLaunchFailed(RuntimeError):
    """The warm process could not be reached or refused; the message says why."""


class WarmRunLauncher(RunLauncher[Any], ConfigurableClass):
    """Launches runs by forking the warm process that listens on `socket`."""

    def __init__(self, socket: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._socket = Path(socket)
        self._inst_data = inst_data
        super().__init__()  # type: ignore[no-untyped-call]

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    @classmethod
    def config_type(cls) -> Mapping[str, Any]:
        return {"socket": Field(StringSource, description="Unix socket of the warm process.")}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        return cls(inst_data=inst_data, **config_value)

    def launch_run(self, context: LaunchRunContext) -> None:
        run = context.dagster_run
        request = {"run": run.run_id, "instance": serialised_instance(self._instance)}
        answer = launch(self._socket, request)
        self._instance.add_run_tags(run.run_id, {WORKER_TAG: f"{answer['pid']}:{answer['started']}"})

    def terminate(self, run_id: str) -> bool:
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        worker = _worker(run)
        self._instance.report_run_canceling(run)
        if worker is None or started_ticks(worker[0]) != worker[1]:
            self._instance.report_run_canceled(run, message="The run's process had already ended.")
            return True
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker[0], signal.SIGTERM)
        return True

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        worker = _worker(run)
        if worker is None:
            return CheckRunHealthResult(WorkerStatus.UNKNOWN, "the run names no worker")
        if started_ticks(worker[0]) == worker[1]:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.NOT_FOUND, f"process {worker[0]} has ended")


def _worker(run: DagsterRun) -> tuple[int, int] | None:
    pid, _, started = run.tags.get(WORKER_TAG, "").partition(":")
    return (int(pid), int(started)) if pid.isdigit() and started.isdigit() else None


def launch(path: Path, request: Mapping[str, str]) -> dict[str, Any]:
    """Sends one launch request, starting the warm process if it does not run. Raises `WarmLaunchFailed`."""
    deadline = time.monotonic() + LAUNCH_TIMEOUT
    while True:
        try:
            answer = _ask(path, request, max(0.1, deadline - time.monotonic()))
        except (FileNotFoundError, ConnectionRefusedError, ConnectionResetError):
            start(path)
            answer = {"retry": True, "error": "the warm process is starting"}
        except OSError as error:
            raise WarmLaunchFailed(f"the warm process at {path} did not answer: {error}") from error
        if "pid" in answer:
            return answer
        if not answer.get("retry") or time.monotonic() > deadline:
            raise WarmLaunchFailed(f"the warm process at {path} refused: {answer.get('error', 'no answer')}")
        time.sleep(0.05)


def _ask(path: Path, request: Mapping[str, str], timeout: float) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        # A process that is still importing accepts late; until then the socket's backlog holds the request.
        connection.settimeout(timeout)
        connection.connect(str(path))
        connection.sendall(json.dumps(request).encode() + b"\n")
        connection.shutdown(socket.SHUT_WR)
        data = b""
        while not data.endswith(b"\n") and (part := connection.recv(65536)):
            data += part
    if not data:
        raise ConnectionResetError("closed without an answer")
    return dict(json.loads(data))


def start(path: Path) -> None:
    """Starts the warm process unless another launcher is doing so; returns once its socket listens."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (path.parent / "warm.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if listening(path):
            return
        with (path.parent / "warm.log").open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "dagster_project.warm.process", str(path)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        deadline = time.monotonic() + LAUNCH_TIMEOUT
        while not listening(path):
            if process.poll() is not None:
                raise WarmLaunchFailed(f"the warm process ended during start-up; see {path.parent / 'warm.log'}")
            if time.monotonic() > deadline:
                raise WarmLaunchFailed(f"the warm process did not listen on {path} within {LAUNCH_TIMEOUT:.0f} s")
            time.sleep(0.05)
