"""A worker process for code that may hang, crash or exhaust memory without harm to the calling process.

Requests and answers are bytes, or values that are sent as JSON; each is bounded in size. `Worker` is this process's
end, `serve` the worker's. A worker has none of its parent's secrets, and ends with its parent. Not for code of
repositories, which runs in the sandbox.
"""

import contextlib
import json
import os
import resource
import selectors
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

START_SECONDS = 60.0
LARGEST = 64 << 20
"""The largest request or answer, in bytes."""

_HEADER = struct.Struct("<?Q")
"""Before each request and answer: whether it is bytes and not JSON, and its length in bytes."""

_ROOT = Path(__file__).parents[1]
_WATCH_SECONDS = 1.0


class WorkerUnavailable(RuntimeError):
    """The process cannot start, whatever the request."""


class WorkerEnded(RuntimeError):
    """The process died or gave an unreadable answer. It has ended, and the message says how."""


class WorkerLate(WorkerEnded):
    """The process did not answer in time, and was killed."""


class Worker:
    """A running process of `module`, which calls `serve`. One thread may call `ask` and `end`, any thread `kill`.

    It gets the variables of `environment`, or only PATH and a locale when that is None. Raises `WorkerUnavailable`.
    """

    def __init__(self, module: str, environment: Mapping[str, str] | None = None) -> None:
        # -P leaves the working directory out of the module path. In its own process group, it does not get a user's
        # Ctrl-C; a session of its own could get it an additional share of the CPU (autogroup, sched(7)).
        places = os.pathsep.join(dict.fromkeys([str(_ROOT), *filter(None, sys.path)]))
        bare = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - not a pipe, which would fill up and block
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", module, str(os.getpid())],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                env={**(bare if environment is None else environment), "PYTHONPATH": places},
                cwd="/",
                process_group=0,
            )
        except OSError as error:
            self._said.close()
            raise WorkerUnavailable(f"the process {module} cannot be started: {error}") from error
        try:
            ready = self._receive(time.monotonic() + START_SECONDS)
        except WorkerEnded as error:
            raise WorkerUnavailable(f"the process {module} did not start: {error}") from error
        if ready != "ready":
            self.end()
            raise WorkerUnavailable(f"the process {module} did not start: {str(ready)[:500]}")

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *exception: object) -> None:
        self.end()

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, asked: Any, seconds: float) -> Any:
        """The answer to a request. Raises `WorkerEnded` or, after `seconds`, `WorkerLate`; the process has ended."""
        deadline = time.monotonic() + seconds
        stdin = self._process.stdin
        if stdin is None or stdin.closed:
            raise WorkerEnded("it was ended before")
        os.set_blocking(stdin.fileno(), False)  # so that a process that does not read cannot block this one
        left = memoryview(_packed(asked))
        with selectors.DefaultSelector() as selector:
            selector.register(stdin, selectors.EVENT_WRITE)
            while left:
                self._wait(selector, deadline)
                try:
                    left = left[os.write(stdin.fileno(), left) :]
                except OSError as error:
                    raise self._ended() from error
        return self._receive(deadline)

    def _receive(self, deadline: float) -> Any:
        is_bytes, size = _HEADER.unpack(self._read(_HEADER.size, deadline))
        if size > LARGEST:
            raise self._ended("its answer is too large")
        content = self._read(size, deadline)
        try:
            return content if is_bytes else json.loads(content)
        except ValueError as error:
            raise self._ended("its answer cannot be read") from error

    def _read(self, size: int, deadline: float) -> bytes:
        stdout = self._process.stdout
        if stdout is None or stdout.closed:
            raise WorkerEnded("it was ended before")
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            content = bytearray()
            while len(content) < size:
                self._wait(selector, deadline)
                if not (data := os.read(stdout.fileno(), min(size - len(content), 1 << 18))):
                    raise self._ended()
                content += data
        return bytes(content)

    def _wait(self, selector: selectors.BaseSelector, deadline: float) -> None:
        if not selector.select(max(0.0, deadline - time.monotonic())):
            self.end()
            raise WorkerLate("it did not answer in time")

    def _ended(self, why: str = "") -> WorkerEnded:
        if not why:  # it died by itself, and its exit status will be available soon
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = self._process.wait(timeout=10.0)
                why = f"it was killed by signal {-status}" if status < 0 else f"it ended with status {status}"
        size = self._said.seek(0, os.SEEK_END)
        self._said.seek(max(0, size - 500))
        last = self._said.read().decode("utf-8", "replace").strip().splitlines()[-1:]
        self.end()
        return WorkerEnded(": ".join([why or "it does not answer", *last]))

    def kill(self) -> None:
        """Kills the process without waiting for its end; a thread that waits for an answer gets `WorkerEnded`."""
        self._process.kill()

    def end(self) -> None:
        """Kills the process and waits for its end; does nothing the second time."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._said):
            if stream is not None:
                stream.close()


def serve(answer: Callable[[Any], Any], *, memory: int, prepare: Callable[[], object] = lambda: None) -> None:
    """Runs the worker: answers requests until its input or its parent ends, with `memory` bytes of address space.

    `prepare` imports what `answer` needs; an exception of it is the reason in the parent's `WorkerUnavailable`.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    _end_with(int(sys.argv[1]))
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not mix with the answers

    def send(value: Any) -> None:
        answers.write(_packed(value))
        answers.flush()

    try:
        prepare()
    except Exception as error:  # sent to the parent, which raises it
        send(f"{type(error).__name__}: {error}")
        return
    send("ready")
    while header := requests.read(_HEADER.size):
        is_bytes, size = _HEADER.unpack(header)
        if size > LARGEST:
            raise ValueError("the request is too large")
        content = requests.read(size)
        send(answer(content if is_bytes else json.loads(content)))


def _packed(value: Any) -> bytes:
    content = value if isinstance(value, bytes) else json.dumps(value, default=str).encode()
    return _HEADER.pack(content is value, len(content)) + content


def _end_with(parent: int) -> None:
    """Ends this process soon after its parent, even while it works or another process holds its input open."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_SECONDS)
        os._exit(0)

    threading.Thread(target=watch, name="penstock-parent", daemon=True).start()
