"""The pod of a session: waits for it, runs helper scripts in it, and finds out why it is gone."""

import time
from collections.abc import Iterable, Sequence
from typing import Any, BinaryIO

from sandbox.protocol import Limit, SandboxUnavailable

from .channels import STATUS, STDERR, STDOUT, Channels, ConnectionLost, Ended, ended
from .cluster import Cluster
from .scripts import command, encoded_arguments

_POLL_SECONDS = (0.1, 1.0)
_HOPELESS = ("ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError")
"""Reasons of a waiting container that do not go away by themselves soon."""
_MOST_MESSAGE = 500
_TICK = 5.0


class Pod:
    """A pod that was created under `name`."""

    def __init__(self, cluster: Cluster, name: str, start_seconds: float) -> None:
        self.name = name
        self.restarts = 0
        self._cluster = cluster
        self._start_seconds = start_seconds

    def await_running(self) -> None:
        """Waits until commands can be run. Raises `SandboxUnavailable` with the reason when that takes too long."""
        deadline = time.monotonic() + self._start_seconds
        pause = _POLL_SECONDS[0]
        while True:
            pod = self._cluster.pod(self.name)
            if pod is None:
                raise SandboxUnavailable(f"pod {self.name} was deleted before it ran")
            status = pod.get("status") or {}
            container = _container(pod)
            if status.get("phase") == "Running" and "running" in (container.get("state") or {}):
                self.restarts = int(container.get("restartCount") or 0)
                return
            if status.get("phase") in ("Failed", "Succeeded"):
                raise SandboxUnavailable(f"pod {self.name} ended before it ran: {_why(pod)}")
            waiting = (container.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") in _HOPELESS:
                raise SandboxUnavailable(f"pod {self.name} cannot start: {_why(pod)}")
            if time.monotonic() > deadline:
                raise SandboxUnavailable(f"pod {self.name} did not start in {self._start_seconds:g} s: {_why(pod)}")
            time.sleep(pause)
            pause = min(pause * 1.5, _POLL_SECONDS[1])

    def execute(self, script: str, arguments: Sequence[str]) -> Channels:
        """Starts a script. Raises `SandboxUnavailable`."""
        channels = self._cluster.execute(self.name, command(script))
        channels.send(encoded_arguments(arguments))
        return channels

    def call(
        self,
        script: str,
        arguments: Sequence[str],
        seconds: float,
        data: Iterable[bytes] = (),
        most: int = 1 << 16,
        into: BinaryIO | None = None,
    ) -> tuple[int, bytes]:
        """Runs a script to its end, with the chunks `data` as its input. Returns its exit code and at most `most`
        bytes of its output, which is written to the file `into` instead if there is one. Raises `SandboxUnavailable`,
        and `OSError` for the file."""
        deadline = time.monotonic() + seconds
        output = {STDOUT: bytearray(), STDERR: bytearray()}
        chunks = iter(data)
        channels = self.execute(script, arguments)
        try:
            while (left := deadline - time.monotonic()) > 0:
                if not channels.queued:
                    channels.send(next(chunks, b""))
                readable, _ = channels.wait(min(left, _TICK))
                message = channels.receive() if readable else None
                if message is None:
                    continue
                channel, content = message
                if channel == STATUS:
                    return _code(ended(content), script, self.name, bytes(output[STDERR])), bytes(output[STDOUT])
                if channel == STDOUT and into is not None:
                    into.write(content[: max(most - into.tell(), 0)])
                elif channel in output:
                    output[channel] += content[: max(most - len(output[channel]), 0)]
        except ConnectionLost as error:
            raise SandboxUnavailable(f"the connection to pod {self.name} was lost: {error}") from error
        finally:
            channels.close()
        raise SandboxUnavailable(f"{script} in pod {self.name} did not end within {seconds:g} s")

    def fate(self, seconds: float) -> tuple[Limit | None, str, bool]:
        """Why commands can no longer be run: the limit that was exceeded if it was one, the reason in words, and
        whether the container was restarted, so that it is worth to wait for it. Waits up to `seconds` for the API
        server to notice. Raises `SandboxUnavailable` when it cannot be asked."""
        deadline = time.monotonic() + seconds
        pause = _POLL_SECONDS[0]
        while True:
            pod = self._cluster.pod(self.name)
            if pod is None:
                return None, "it was deleted", False
            status = pod.get("status") or {}
            if status.get("phase") in ("Failed", "Succeeded"):
                return _limit_of(pod), _why(pod), False
            container = _container(pod)
            if int(container.get("restartCount") or 0) > self.restarts or "running" not in (
                container.get("state") or {"running": {}}
            ):
                return _limit_of(pod), _why(pod), True
            if time.monotonic() > deadline:
                return None, "it does not answer", False
            time.sleep(pause)
            pause = min(pause * 1.5, _POLL_SECONDS[1])

    def delete(self, seconds: float) -> bool:
        """Deletes the pod; whether it is gone within `seconds`. Raises `SandboxUnavailable`."""
        self._cluster.delete(self.name)
        deadline = time.monotonic() + seconds
        pause = _POLL_SECONDS[0]
        while self._cluster.pod(self.name) is not None:
            if time.monotonic() > deadline:
                return False
            time.sleep(pause)
            pause = min(pause * 1.5, _POLL_SECONDS[1])
        return True


def _code(end: Ended, script: str, name: str, stderr: bytes) -> int:
    if end.code is None or end.code in (125, 126, 127):
        said = end.reason or stderr[-_MOST_MESSAGE:].decode(errors="replace").strip()
        raise SandboxUnavailable(f"{script} cannot be run in pod {name}: {said or f'exit code {end.code}'}")
    return end.code


def _container(pod: dict[str, Any]) -> dict[str, Any]:
    """The status of the pod's only container; empty when it has none yet."""
    found = (pod.get("status") or {}).get("containerStatuses") or [{}]
    return found[0] if isinstance(found[0], dict) else {}


def _terminated(pod: dict[str, Any]) -> dict[str, Any]:
    container = _container(pod)
    for state in ("state", "lastState"):
        if found := (container.get(state) or {}).get("terminated"):
            return dict(found)
    return {}


def _limit_of(pod: dict[str, Any]) -> Limit | None:
    status = pod.get("status") or {}
    if _terminated(pod).get("reason") == "OOMKilled":
        return Limit.MEMORY
    message = str(status.get("message") or "")
    if status.get("reason") == "Evicted" and ("ephemeral" in message or "emptyDir" in message):
        return Limit.DISK
    return None


def _why(pod: dict[str, Any]) -> str:
    """What the API server knows about a pod's trouble, in words."""
    status = pod.get("status") or {}
    parts = [status.get("reason"), status.get("message")]
    waiting = (_container(pod).get("state") or {}).get("waiting") or {}
    parts += [waiting.get("reason"), waiting.get("message")]
    terminated = _terminated(pod)
    parts += [terminated.get("reason"), terminated.get("message")]
    for condition in status.get("conditions") or []:
        if condition.get("status") == "False" and condition.get("type") == "PodScheduled":
            parts += [condition.get("reason"), condition.get("message")]
    said = ": ".join(str(part).strip() for part in parts if part)
    return said[:_MOST_MESSAGE] or f"phase {status.get('phase') or 'unknown'}"
