"""A process of our own that works for this one: it can hang, crash or take all memory, and this one goes on.

Both ends speak JSON, a line a request and a line an answer, each bounded in size. `Worker` is this process's end,
`serve` the other's. A worker has none of this process's secrets, and ends with it. Not for code of repositories, which
runs in the sandbox.
"""

import contextlib
import json
import os
import resource
import selectors
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
"""Bytes of one request or answer."""

_ROOT = Path(__file__).parents[1]
_LOOK_SECONDS = 1.0


class WorkerUnavailable(RuntimeError):
    """The process cannot start; not the fault of what it is asked."""


class WorkerEnded(RuntimeError):
    """The process died, or gave an answer that cannot be read; it is gone, and the message says how it ended."""


class WorkerLate(WorkerEnded):
    """The process did not answer in time; it was ended."""


class Worker:
    """A running process of `module`, which calls `serve`. One thread asks; any may `end` it.

    It gets the `environment` given, else none but what Python needs. Raises `WorkerUnavailable`.
    """

    def __init__(self, module: str, environment: Mapping[str, str] | None = None) -> None:
        # -P: nothing of this process's working directory. In its own session a person's Ctrl-C is not for it.
        places = os.pathsep.join(dict.fromkeys([str(_ROOT), *filter(None, sys.path)]))
        bare = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
        self._buffer = bytearray()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - a pipe that nobody reads would fill and stop it
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", module, str(os.getpid())],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                env={**(bare if environment is None else environment), "PYTHONPATH": places},
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            self._said.close()
            raise WorkerUnavailable(f"the process {module} cannot be started: {error}") from error
        try:
            ready = self._answer(time.monotonic() + START_SECONDS)
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
        """The answer to one request. Raises `WorkerEnded`, after `seconds` `WorkerLate`; the process is then gone."""
        deadline = time.monotonic() + seconds
        stdin = self._process.stdin
        if stdin is None or stdin.closed:
            raise WorkerEnded("it was ended before")
        os.set_blocking(stdin.fileno(), False)  # what does not read does not hold us up
        left = memoryview(json.dumps(asked).encode() + b"\n")
        with selectors.DefaultSelector() as selector:
            selector.register(stdin, selectors.EVENT_WRITE)
            while left:
                self._wait(selector, deadline)
                try:
                    left = left[os.write(stdin.fileno(), left) :]
                except OSError as error:
                    raise self._ended() from error
        return self._answer(deadline)

    def _answer(self, deadline: float) -> Any:
        stdout = self._process.stdout
        if stdout is None or stdout.closed:
            raise WorkerEnded("it was ended before")
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            while not self._buffer.endswith(b"\n"):  # one answer a request: nothing follows it
                self._wait(selector, deadline)
                data = os.read(stdout.fileno(), 1 << 18)
                if not data or len(self._buffer) + len(data) > LARGEST:
                    raise self._ended("its answer is too large" if data else "")
                self._buffer += data
        line = bytes(self._buffer)
        self._buffer.clear()
        try:
            return json.loads(line)
        except ValueError as error:
            raise self._ended("its answer cannot be read") from error

    def _wait(self, selector: selectors.BaseSelector, deadline: float) -> None:
        if not selector.select(max(0.0, deadline - time.monotonic())):
            self.end()
            raise WorkerLate("it did not answer in time")

    def _ended(self, why: str = "") -> WorkerEnded:
        if not why:  # it died by itself: how is known in a moment
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = self._process.wait(timeout=10.0)
                why = f"it was killed by signal {-status}" if status < 0 else f"it ended with status {status}"
        size = self._said.seek(0, os.SEEK_END)
        self._said.seek(max(0, size - 500))
        last = self._said.read().decode("utf-8", "replace").strip().splitlines()[-1:]
        self.end()
        return WorkerEnded(": ".join([why or "it does not answer", *last]))

    def end(self) -> None:
        """Kills the process; does nothing the second time."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._said):
            if stream is not None:
                stream.close()


def serve(answer: Callable[[Any], Any], *, memory: int, prepare: Callable[[], object] = lambda: None) -> None:
    """The process's end: limited to `memory` bytes of address space, it answers until its input or its parent ends.

    `prepare` imports what answering needs; what it raises is told as the reason why the process did not start.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    _end_with(int(sys.argv[1]))
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer

    def tell(told: Any) -> None:
        answers.write(json.dumps(told, default=str).encode() + b"\n")
        answers.flush()

    try:
        prepare()
    except Exception as error:  # told to the parent, which raises it
        tell(f"{type(error).__name__}: {error}")
        return
    tell("ready")
    while line := requests.readline(LARGEST):
        tell(answer(json.loads(line)))


def _end_with(parent: int) -> None:
    """Ends this process soon after its parent, also while it works and though others hold its input."""

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_SECONDS)
        os._exit(0)

    threading.Thread(target=look, name="penstock-parent", daemon=True).start()
