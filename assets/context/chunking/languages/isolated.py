"""Cuts files in a separate process, because a hostile file can make a parser crash or exhaust memory.

One worker serves this process; it starts at the first file and ends with this process. A file that ends the
worker twice has no segments, and the caller falls back to windows.
"""

import atexit
import json
import os
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from assets.context.chunking.languages.parsing import MOST_BYTES
from assets.context.chunking.segment import Segment

TIMEOUT = 20.0
"""Seconds per file; the worker itself stops parsing after one second of processor time."""

START_TIMEOUT = 60.0
_ROOT = Path(__file__).parents[4]


class WorkerUnavailable(RuntimeError):
    """The parsing process cannot start, whatever the file."""


class _Ended(Exception):
    """The worker died or did not answer."""


class Worker:
    """A running worker process. Not thread-safe."""

    def __init__(self) -> None:
        # -P and a minimal environment keep this process's secrets and working directory out.
        places = os.pathsep.join(dict.fromkeys([str(_ROOT), *filter(None, sys.path)]))
        environment = {"PYTHONPATH": places, "PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "assets.context.chunking.languages.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd="/",
            start_new_session=True,
        )
        self._buffer = bytearray()
        self._selector = selectors.DefaultSelector()
        if not (self._process.stdin and self._process.stdout):
            raise WorkerUnavailable("the process that parses files has no pipes")
        self._in, self._out = self._process.stdin, self._process.stdout
        self._selector.register(self._out, selectors.EVENT_READ)
        try:
            ready = self._line(time.monotonic() + START_TIMEOUT)
        except _Ended:
            ready = b""
        if ready != b"ready":
            self.end()
            raise WorkerUnavailable(f"the process that parses files did not start: {self._complaint()}")

    @property
    def pid(self) -> int:
        return self._process.pid

    def cut(self, language: str, text: bytes) -> list[Segment] | None:
        """As `segments`. Raises `_Ended` when the worker dies or does not answer in time; it must not be used again."""
        deadline = time.monotonic() + TIMEOUT
        try:
            self._in.write(b"%b %d\n%b" % (language.encode(), len(text), text))
            self._in.flush()
        except OSError as error:
            raise _Ended from error
        try:
            size = int(self._line(deadline))
            rows = json.loads(self._read(size, deadline))
            return None if rows is None else [Segment(*row) for row in rows]
        except (ValueError, TypeError) as error:
            raise _Ended from error

    def _line(self, deadline: float) -> bytes:
        while (at := self._buffer.find(b"\n")) < 0:
            self._fill(deadline)
        line = bytes(self._buffer[:at])
        del self._buffer[: at + 1]
        return line

    def _read(self, size: int, deadline: float) -> bytes:
        while len(self._buffer) < size:
            self._fill(deadline)
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def _fill(self, deadline: float) -> None:
        if len(self._buffer) > 64 * MOST_BYTES or not self._selector.select(max(0.0, deadline - time.monotonic())):
            raise _Ended
        data = os.read(self._out.fileno(), 1 << 18)
        if not data:
            raise _Ended
        self._buffer += data

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._selector.close()
        for stream in (self._in, self._out):
            try:
                stream.close()
            except OSError:  # input was still buffered for the dead process
                continue

    def _complaint(self) -> str:
        stderr = self._process.stderr
        lines = stderr.read().decode("utf-8", "replace").strip().splitlines() if stderr else []
        return lines[-1][:500] if lines else f"exit status {self._process.returncode}"


class _Shared:
    """The worker of this process. A forked child starts its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._worker: Worker | None = None
        self._owner = 0

    def cut(self, language: str, text: bytes) -> list[Segment] | None:
        with self._lock:
            for _ in range(2):  # twice, since the worker may have died for another reason
                if self._worker is None or self._owner != os.getpid():
                    self._worker, self._owner = Worker(), os.getpid()
                try:
                    return self._worker.cut(language, text)
                except _Ended:
                    self.end()
        return None

    def end(self) -> None:
        if self._worker is not None and self._owner == os.getpid():
            self._worker.end()
        self._worker = None


_shared = _Shared()
atexit.register(_shared.end)


def segments(language: str, lines: Sequence[str]) -> list[Segment] | None:
    """The segments of a file in one of the languages of `grammars.GRAMMARS`, or None if it cannot be parsed within
    the bounds. Raises `WorkerUnavailable`."""
    text = "\n".join(lines).encode()
    return _shared.cut(language, text) if len(text) <= MOST_BYTES else None
