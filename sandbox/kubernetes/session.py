"""A session whose workspace copy and commands are in a pod."""

import contextlib
import logging
import math
import os
import secrets
import time
from pathlib import Path

from sandbox.bounded_process import BoundedProcess
from sandbox.command_session import CommandSession
from sandbox.confined_files import components
from sandbox.limit_watch import THREADS_PER_PROCESS
from sandbox.protocol import Environment, Limit, Limits, SandboxUnavailable

from .archives import PodSnapshots, unpack
from .pod import Pod
from .process import PodCommand, PodWatch, Swept

_log = logging.getLogger(__name__)
_CALL_SECONDS = 60.0
_SWEEP_SECONDS = 30.0
_FATE_SECONDS = 15.0
_DELETE_SECONDS = 30.0
_STACK = 8 << 20
_MISSING = 66
_REFUSED = {
    1: "cannot be opened",
    2: "cannot be opened",
    65: "is not a regular file",
    67: "leads out of the workspace",
    68: "cannot be reached: a part of its path is not a folder",
}
"""What the exit codes of read.sh and write.sh mean."""
_FULL = 69
_STUBBORN = 70


class PodSession(CommandSession):
    """`sandbox.protocol.Session`. `pod` is running, and empty; it is deleted with the session. `archive` is the
    workspace, as a tar file."""

    def __init__(
        self,
        backend: str,
        pod: Pod,
        environment: Environment,
        limits: Limits,
        archive: Path,
        scratch: Path | None = None,
    ) -> None:
        super().__init__(backend, environment, limits)
        self._pod = pod
        self._live: set[PodCommand] = set()
        self._kills = 0
        self._broken = ""
        self._snapshots: PodSnapshots = PodSnapshots(pod, limits.disk_bytes, scratch)
        unpack(archive, pod)

    def _begin(
        self,
        argv: list[str],
        stdin: bytes | None,
        limits: Limits,
        variables: dict[str, str],
        services: bool,
    ) -> BoundedProcess:
        nonce = secrets.token_hex(8)
        mode = "lines" if stdin is None else str(len(stdin))
        tasks = limits.processes * THREADS_PER_PROCESS
        arguments = [
            nonce,
            str(max(1, math.ceil(limits.cpu_seconds))),
            str(limits.file_bytes // 512),
            str(tasks),
            str((4 * limits.memory_bytes + tasks * _STACK) >> 10),
            mode,
            *(f"{name}={value}" for name, value in variables.items()),
            "/bin/sh",
            "-c",
            'exec "$@"',
            "sh",
            *argv,
        ]
        command = PodCommand(self._pod.execute("run", arguments), nonce, mode, limits, self._sweep)
        command.await_start()
        self._live.add(command)
        return BoundedProcess(command, limits, PodWatch(command), stdin)

    def _sweep(self, command: PodCommand) -> Swept:
        """Kills what a command has left running, or all of it; the trees of other commands stay."""
        with self._lock:
            self._live.discard(command)
            if self._closed or self._broken:
                return Swept(problem=self._broken or "the session is closed")
            minutes = int((time.monotonic() - command.began) // 60) + 2
            spared = [str(other.pid) for other in self._live]
            arguments = [str(command.limits.file_bytes // 512 * 512), str(minutes), *spared]
            try:
                code, output = self._pod.call("sweep", arguments, _SWEEP_SECONDS)
                killed, size, large = map(int, output.split()) if code == 0 else (0, 0, 0)
            except (SandboxUnavailable, ValueError) as error:
                return self._lost(str(error))
            if code != 0:
                problem = f"processes in pod {self._pod.name} cannot be killed: exit code {code}"
                return self._give_up(problem) if code == _STUBBORN else self._lost(problem)
            more, self._kills = killed > self._kills, killed
            if more:
                return Swept(Limit.MEMORY)
            return Swept(Limit.DISK if size << 10 > command.limits.disk_bytes else None, large_file=large > 0)

    def _lost(self, problem: str) -> Swept:
        """When the pod cannot be reached: why, and whether it comes back."""
        try:
            limit, reason, restarted = self._pod.fate(_FATE_SECONDS)
            if restarted:
                self._kills = 0
                self._pod.await_running()
                return Swept(limit, "" if limit else f"the container of pod {self._pod.name} was restarted: {reason}")
        except SandboxUnavailable as error:
            return self._give_up(f"{problem}; {error}")
        if limit:
            self._give_up(f"pod {self._pod.name} was ended: {reason}")
            return Swept(limit)
        return self._give_up(f"pod {self._pod.name} is lost: {reason} ({problem})")

    def _give_up(self, problem: str) -> Swept:
        self._broken = problem
        _log.warning("sandbox session: %s", problem)
        with contextlib.suppress(SandboxUnavailable):
            self._pod.delete(0)
        return Swept(problem=problem)

    def read(self, path: str, max_bytes: int = 16 << 20) -> bytes:
        components(path)
        with self._lock:
            self._check_open()
            code, content = self._pod.call("read", [path, str(max_bytes + 1)], _CALL_SECONDS, most=max_bytes + 1)
        if code == _MISSING:
            raise FileNotFoundError(2, os.strerror(2), path)
        self._check_code(code, path)
        if len(content) > max_bytes:
            raise ValueError(f"{path!r} is larger than {max_bytes:,} bytes")
        return content

    def write(self, path: str, content: bytes) -> None:
        parts = components(path)
        if len(content) > self._limits.file_bytes:
            raise ValueError(f"{path!r}: {len(content):,} bytes exceed the file limit of {self._limits.file_bytes:,}")
        with self._lock:
            self._check_open()
            code, _ = self._pod.call("write", [str(len(content)), *parts], _CALL_SECONDS, [content])
        if code == _FULL:
            raise SandboxUnavailable(f"{path!r} cannot be written: the workspace in pod {self._pod.name} is full")
        self._check_code(code, path)

    def _check_code(self, code: int, path: str) -> None:
        if code in _REFUSED:
            raise ValueError(f"{path!r} {_REFUSED[code]}")
        if code != 0:
            raise SandboxUnavailable(f"{path!r} cannot be accessed in pod {self._pod.name}: exit code {code}")

    def _check_open(self) -> None:
        super()._check_open()
        if self._broken:
            raise SandboxUnavailable(self._broken)

    def _release(self) -> None:
        self._snapshots.close()
        remove(self._pod)


def remove(pod: Pod) -> None:
    """Deletes a pod and waits. Kubernetes ends one that cannot be deleted at its deadline, and the next worker's sweep
    removes it."""
    try:
        if not pod.delete(_DELETE_SECONDS):
            _log.warning("pod %s is being deleted, and still there after %g s", pod.name, _DELETE_SECONDS)
    except SandboxUnavailable as error:
        _log.warning("pod %s was left behind: %s", pod.name, error)
