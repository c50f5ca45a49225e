"""Runs one contained command: moves its input and output, and kills it when it exceeds a limit.

One thread per command does all of this, so that limits also hold while the caller is not reading.
"""

import os
import select
import threading
import time
from typing import Protocol

from .contained import Contained
from .protocol import CommandResult, Limit, Limits

_CHUNK = 1 << 16
_LINGER = 2.0
"""Timeout in seconds for draining the pipes of a sandbox that has ended."""
_REAP = 10.0
"""Timeout in seconds for each step of killing a sandbox."""


class Watch(Protocol):
    """Compares what a command uses with its limits, as `sandbox.limit_watch.LimitWatch` does."""

    next_at: float
    """When `check` is due, on the monotonic clock."""

    def check(self) -> Limit | None:
        """The limit that is exceeded now."""

    def verdict(self, exit_code: int) -> Limit | None:
        """After the command's end: the limit that it had exceeded."""


class BoundedProcess:
    """`sandbox.protocol.SandboxProcess` over any backend's `Contained`."""

    def __init__(self, contained: Contained, limits: Limits, watch: Watch, stdin: bytes | None) -> None:
        """`stdin` is written to the command and then closed; None leaves the pipe open for `write_line`."""
        self._contained = contained
        self._limits = limits
        self._watch = watch
        self._began = time.monotonic()
        self._ended_at = self._began
        self._limit: Limit | None = None
        self._killed = False
        self._exit_code: int | None = None
        self._error: BaseException | None = None
        self._output = {contained.stdout: bytearray(), contained.stderr: bytearray()}
        self._received = {contained.stdout: 0, contained.stderr: 0}
        self._searched = 0
        self._drained = False
        self._changed = threading.Condition()
        self._stdin_lock = threading.Lock()
        self._stdin_open = True
        self._pending = memoryview(stdin) if stdin is not None else None
        os.set_blocking(contained.stdin, False)
        self._thread = threading.Thread(target=self._run, name="sandbox-command", daemon=True)
        self._thread.start()

    # called by the user of the sandbox

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    def write_line(self, line: bytes) -> None:
        left = memoryview(line + b"\n")
        while left:
            with self._stdin_lock:
                if not self._stdin_open:
                    raise BrokenPipeError("the command has ended")
                try:
                    left = left[os.write(self._contained.stdin, left) :]
                    continue
                except BlockingIOError:
                    poll = select.poll()
                    poll.register(self._contained.stdin, select.POLLOUT)
                    poll.poll(50)

    def read_line(self, timeout: float) -> bytes | None:
        output = self._output[self._contained.stdout]
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                end = output.find(b"\n", self._searched)
                if end >= 0:
                    line = bytes(output[:end])
                    del output[: end + 1]
                    self._searched = 0
                    return line
                self._searched = len(output)
                if self._drained:
                    rest = bytes(output)
                    output.clear()
                    self._searched = 0
                    return rest or None
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    raise TimeoutError(f"the command wrote no line within {timeout:g} s")

    def finish(self, timeout: float = 5.0) -> CommandResult:
        self._close_stdin()
        self._thread.join(timeout)
        if self._thread.is_alive():
            self.kill()
        return self.result()

    def kill(self) -> None:
        if self._thread.is_alive():
            self._killed = True
            self._contained.kill()
            self._thread.join()

    def result(self) -> CommandResult:
        """Waits for the command to end. Raises `SandboxUnavailable` when the sandbox failed, not the command."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        killed_by_us = self._limit is not None or self._killed
        return CommandResult(
            exit_code=None if killed_by_us else self._exit_code,
            stdout=bytes(self._output[self._contained.stdout]),
            stderr=bytes(self._output[self._contained.stderr]),
            wall_seconds=self._ended_at - self._began,
            limit=self._limit,
        )

    # run by the thread

    def _run(self) -> None:
        contained = self._contained
        try:
            try:
                self._move_bytes()
            finally:
                contained.reap(_REAP)
                self._ended_at = time.monotonic()
                self._drain()
            if self._limit is None and not self._killed:
                self._limit = contained.exhausted()
            if self._limit is None and not self._killed:
                self._exit_code = contained.exit_code(bytes(self._output[contained.stderr]))
                self._limit = self._watch.verdict(self._exit_code)
        except BaseException as error:
            self._error = error
        finally:
            self._close_stdin()
            for descriptor in (contained.stdout, contained.stderr, contained.exited):
                os.close(descriptor)
            with self._changed:
                self._drained = True
                self._changed.notify_all()

    def _move_bytes(self) -> None:
        """Moves input and output until the command has ended or a limit is exceeded."""
        contained = self._contained
        poll = select.poll()
        poll.register(contained.exited, select.POLLIN)
        for stream in self._output:
            poll.register(stream, select.POLLIN)
        if self._pending is not None:
            poll.register(contained.stdin, select.POLLOUT)
        deadline = self._began + self._limits.wall_seconds
        while True:
            now = time.monotonic()
            if now >= deadline:
                self._limit = Limit.WALL
                return
            if now >= self._watch.next_at:
                self._limit = self._watch.check()
                if self._limit is not None:
                    return
            wait = min(deadline, self._watch.next_at) - time.monotonic()
            for descriptor, _ in poll.poll(max(wait, 0) * 1000):
                if descriptor == contained.exited:
                    return
                if descriptor == contained.stdin:
                    if not self._feed():
                        poll.unregister(descriptor)
                        self._close_stdin()
                elif not self._take(descriptor):
                    poll.unregister(descriptor)
                if self._limit is not None:
                    return

    def _feed(self) -> bool:
        """Writes a part of standard input; False when all of it is written or the command has closed it."""
        if self._pending:
            try:
                self._pending = self._pending[os.write(self._contained.stdin, self._pending[:_CHUNK]) :]
            except BlockingIOError:
                return True
            except BrokenPipeError:
                return False
        return bool(self._pending)

    def _take(self, stream: int) -> bool:
        """Reads a part of an output stream; False at its end. Sets the limit when the output is too large."""
        chunk = os.read(stream, _CHUNK)
        if not chunk:
            if stream == self._contained.stdout:
                with self._changed:
                    self._drained = True
                    self._changed.notify_all()
            return False
        room = self._limits.output_bytes - self._received[stream]
        self._received[stream] += len(chunk)
        with self._changed:
            self._output[stream] += chunk[: max(room, 0)]
            if stream == self._contained.stdout:
                self._changed.notify_all()
        if len(chunk) > room:
            self._limit = Limit.OUTPUT
        return True

    def _drain(self) -> None:
        """Reads what the command wrote before its end and is still in the pipes."""
        exceeded = self._limit
        poll = select.poll()
        open_streams = set(self._output)
        for stream in open_streams:
            poll.register(stream, select.POLLIN)
        deadline = time.monotonic() + _LINGER
        while open_streams and (left := deadline - time.monotonic()) > 0:
            for stream, _ in poll.poll(left * 1000):
                if not self._take(stream):
                    open_streams.discard(stream)
                    poll.unregister(stream)
        self._limit = exceeded or self._limit

    def _close_stdin(self) -> None:
        with self._stdin_lock:
            if self._stdin_open:
                self._stdin_open = False
                os.close(self._contained.stdin)
