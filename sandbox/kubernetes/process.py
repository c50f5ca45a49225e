"""A command in a pod as `sandbox.contained.Contained`: a thread copies between the websocket and pipes."""

import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.contained import Usage
from sandbox.protocol import Limit, Limits, SandboxUnavailable

from .channels import STATUS, STDERR, STDOUT, Channels, ConnectionLost, Ended, ended
from .scripts import END_OF_LINES, encoded_line

_CHUNK = 1 << 16
_TICK = 10.0
_START_SECONDS = 30.0
_AFTER_END = 10.0
"""Seconds that the node has for the status of a command that was killed."""
_MARK = b"\x01"
_MOST_HELD = 4096
_TIME = re.compile(rb"(\d+)m([\d.]+)s")


@dataclass(frozen=True)
class Swept:
    """What was found when a command's processes were killed: the limit that it had exceeded, if any, or the problem
    with the pod because of which nothing is known about the command. `large_file` means that it has written a file up
    to the limit for one."""

    limit: Limit | None = None
    problem: str = ""
    large_file: bool = False


class Records:
    """Takes the lines that run.sh writes about a command out of its standard error."""

    def __init__(self, nonce: str) -> None:
        self._start = _MARK + nonce.encode() + b" "
        self._held = b""
        self.pid = 0
        self.code: int | None = None
        self.cpu_seconds = 0.0

    def take(self, data: bytes) -> bytes:
        """The part of `data` that is the command's own; after its end, nothing is."""
        self._held += data
        own = b""
        while True:
            at = self._held.find(self._start)
            end = self._held.find(b"\n", at) if at >= 0 else -1
            if end < 0:
                break
            before, record = self._held[:at], self._held[at + len(self._start) : end]
            self._held = self._held[end + 1 :]
            own += before if self.code is None else b""
            self._read(record, before)
        if self.code is not None:
            self._held = self._held[-_MOST_HELD:]
            return own
        keep = at if at >= 0 else self._possible_start()
        own, self._held = own + self._held[:keep], self._held[keep:]
        return own

    def rest(self) -> bytes:
        """What was held back because it might have been the start of a record."""
        rest, self._held = self._held, b""
        return rest if self.code is None else b""

    def _possible_start(self) -> int:
        """Where, at the end of what is held, a record may begin."""
        at = self._held.rfind(_MARK)
        return at if at >= 0 and self._start.startswith(self._held[at:]) else len(self._held)

    def _read(self, record: bytes, before: bytes) -> None:
        word, _, value = record.partition(b" ")
        if word == b"started" and value.isdigit() and not self.pid:
            self.pid = int(value)
        elif word == b"ended" and value.isdigit() and self.code is None:
            self.code = int(value)
        elif word == b"used":
            times = _TIME.findall(before)
            if len(times) == 4:  # user and system time of the shell, then of what it has waited for
                self.cpu_seconds = sum(int(minutes) * 60 + float(seconds) for minutes, seconds in times)


class PodCommand:
    """`mode` is the input of run.sh: "lines", or a number of bytes. `sweep` kills the command's processes, and may be
    called by several threads."""

    def __init__(
        self, channels: Channels, nonce: str, mode: str, limits: Limits, sweep: Callable[["PodCommand"], Swept]
    ) -> None:
        self.limits = limits
        self.began = time.monotonic()
        self._channels = channels
        self._mode = mode
        self._sweep = sweep
        self._records = Records(nonce)
        self._end: Ended | None = None
        self._lost = ""
        self._swept: Swept | None = None
        self._until = float("inf")
        self._partial = b""
        self._open_input = True
        self._started = threading.Event()
        self._sweeping = threading.Lock()
        stdin, self.stdin = os.pipe()
        self.stdout, stdout = os.pipe()
        self.stderr, stderr = os.pipe()
        self.exited, done = os.pipe()
        self._own = [stdin, stdout, stderr, done]
        os.set_blocking(stdin, False)
        self._thread = threading.Thread(target=self._run, name="sandbox-exec", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int:
        """Of the shell that runs the command, in the container; 0 before it has started."""
        return self._records.pid

    @property
    def wrote_large_file(self) -> bool:
        return self._swept is not None and self._swept.large_file

    @property
    def cpu_seconds(self) -> float:
        """Of the command and of all that it has waited for; known after its end."""
        return self._records.cpu_seconds

    def await_start(self) -> None:
        """Raises `SandboxUnavailable`, and closes everything, when the command does not start."""
        if not self._started.wait(_START_SECONDS) or not self.pid:
            self._channels.abort()
            self._thread.join()
            for descriptor in (self.stdin, self.stdout, self.stderr, self.exited):
                os.close(descriptor)
            raise SandboxUnavailable(f"the command was not started: {self._problem()}")

    # `Contained`

    def usage(self) -> Usage:
        return Usage()

    def confirmed_memory(self) -> int:
        return 0

    def overflowed(self) -> bool:
        return False

    def exhausted(self) -> Limit | None:
        return self._swept.limit if self._swept else None

    def processes(self) -> list[int]:
        return []

    def kill(self) -> None:
        with self._sweeping:
            if self._swept is None:
                self._swept = self._sweep(self)
                self._until = time.monotonic() + _AFTER_END
                if self._swept.problem:
                    self._channels.abort()

    def reap(self, timeout: float) -> None:
        self.kill()

    def exit_code(self, stderr: bytes) -> int:
        if self._swept is not None and self._swept.problem:
            raise SandboxUnavailable(self._swept.problem)
        if self._records.code is not None:
            return self._records.code
        if self._end is None or self._end.code is None:
            raise SandboxUnavailable(f"the command's end is not known: {self._problem()}")
        return self._end.code

    def _problem(self) -> str:
        if self._end is not None:
            return self._end.reason or f"exit code {self._end.code}"
        return self._lost or f"no answer within {_START_SECONDS:g} s"

    # run by the thread

    def _run(self) -> None:
        stdin, stdout, stderr, done = self._own
        try:
            while self._end is None:
                self._exchange(stdin, {STDOUT: stdout, STDERR: stderr})
            _write_all(stderr, self._records.rest())
        except ConnectionLost as error:
            self._lost = f"the connection was lost: {error}"
        except BrokenPipeError:
            self._lost = "its output was closed"
        finally:
            self._channels.close()
            self._started.set()
            for descriptor in (stdin, stdout, stderr, done):  # `done` last: then everything else has been delivered
                os.close(descriptor)

    def _exchange(self, stdin: int, outputs: dict[int, int]) -> None:
        """Moves one message of the command, or one piece of its input."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise ConnectionLost("the node does not report the end of a command that was killed")
        wants_input = self._open_input and not self._channels.queued
        readable, input_ready = self._channels.wait(min(left, _TICK), stdin if wants_input else -1)
        message = self._channels.receive() if readable else None
        if message is None:
            if input_ready:
                self._feed(stdin)
            return
        if self._until != float("inf"):
            self._until = time.monotonic() + _AFTER_END
        channel, content = message
        if channel == STATUS:
            self._end = ended(content)
        elif channel == STDOUT:
            _write_all(outputs[STDOUT], content)
        elif channel == STDERR:
            before = self._records.code
            own = self._records.take(content)
            if self.pid:
                self._started.set()
            _write_all(outputs[STDERR], own)
            if before is None and self._records.code is not None:
                self._close_input()
                self.kill()  # what the command left running may hold its output open

    def _feed(self, stdin: int) -> None:
        data = os.read(stdin, _CHUNK)
        if not data:
            self._close_input()
        elif self._mode == "lines":
            *lines, self._partial = (self._partial + data).split(b"\n")
            self._channels.send(b"".join(map(encoded_line, lines)))
        else:
            self._channels.send(data)

    def _close_input(self) -> None:
        if self._open_input and self._mode == "lines":
            self._channels.send(END_OF_LINES)
        self._open_input = False


class PodWatch:
    """What `sandbox.limit_watch.LimitWatch` is for a host's process: here the kernel and the sweep at the end of a
    command enforce the limits, and nothing is measured in between."""

    def __init__(self, command: PodCommand) -> None:
        self._command = command
        self.next_at = float("inf")

    def check(self) -> Limit | None:
        return None

    def verdict(self, exit_code: int) -> Limit | None:
        used, allowed = self._command.cpu_seconds, self._command.limits.cpu_seconds
        if exit_code == 128 + 24 or used > allowed or (exit_code == 128 + 9 and used >= allowed * 0.95):
            return Limit.CPU
        if exit_code == 128 + 25 or (exit_code != 0 and self._command.wrote_large_file):
            return Limit.FILE_SIZE
        return None


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
