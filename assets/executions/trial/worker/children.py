"""Forked children that report over a pipe, and a parent that kills one that hangs and continues in a new one."""

import marshal
import os
import select
import signal
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from .clock import clock

HANG = "hang"
CRASH = "crash"
RENEW = "renew"
"""The kind of a frame by which a child says that another one must continue."""
Send = Callable[[Any], None]


class Child:
    """A forked process with one pipe to its parent. Frames are marshalled: built-in types only."""

    def __init__(self, body: Callable[[Send], None]) -> None:
        reader, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(reader)
            _run_child(body, writer)
        os.close(writer)
        self._reader = reader
        self._buffer = bytearray()

    def read(self, timeout: float) -> Any:
        """The next frame; None when the child has ended. Raises `TimeoutError`."""
        deadline = clock.now() + timeout
        while True:
            if len(self._buffer) >= 4:
                size = int.from_bytes(self._buffer[:4], "big")
                if len(self._buffer) >= 4 + size:
                    frame = marshal.loads(bytes(self._buffer[4 : 4 + size]))  # noqa: S302 - from our own fork
                    del self._buffer[: 4 + size]
                    return frame
            ready, _, _ = select.select([self._reader], [], [], max(0.0, deadline - clock.now()))
            if not ready:
                raise TimeoutError
            chunk = os.read(self._reader, 1 << 18)
            if not chunk:
                return None
            self._buffer += chunk

    def end(self) -> None:
        """Kills the child with its process group, and reaps it."""
        for kill in (os.killpg, os.kill):
            try:
                kill(self.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
        try:
            os.waitpid(self.pid, 0)
        except ChildProcessError:
            return
        finally:
            os.close(self._reader)


def _run_child(body: Callable[[Send], None], writer: int) -> None:
    try:
        os.setsid()

        def send(frame: Any) -> None:
            payload = marshal.dumps(frame)
            data = len(payload).to_bytes(4, "big") + payload
            while data:
                data = data[os.write(writer, data) :]

        try:
            body(send)
        except BaseException:
            send(("broken", -1, traceback.format_exc(limit=-6)[-2000:]))
    finally:
        os._exit(0)


def supervise(
    work: Callable[[list[int], Send], None],
    indices: list[int],
    grace: Callable[[int], float],
    until: float,
) -> Iterator[tuple[str, int, Any]]:
    """Runs `work(indices, send)` in a child and yields its frames `(kind, index, payload)`.

    The child sends `("begin", i, None)` before and `("end", i, ...)` after each index. An index that does not
    end within `grace(i)` seconds is yielded as `("hang", i, None)`, one that ended the process or made `work`
    raise as `("crash", i, traceback or None)`; a new child then continues with the rest, as it does after the
    frame `("renew", -1, None)`. An exception of `work` outside of any index is yielded as
    `("broken", -1, traceback)` and ends the run. Stops at `until`, on the monotonic clock.
    """
    pending = list(indices)
    while pending and clock.now() < until:
        child = Child(lambda send, rest=tuple(pending): work(list(rest), send))  # type: ignore[misc]
        current: int | None = None
        try:
            while True:
                wait = grace(current) if current is not None else grace(pending[0]) + 5.0 if pending else 5.0
                try:
                    frame = child.read(min(wait, max(0.05, until - clock.now())))
                except TimeoutError:
                    if current is None or clock.now() >= until:
                        pending = []
                    else:
                        yield (HANG, current, None)
                    break
                if frame is None:
                    if current is not None:
                        yield (CRASH, current, None)
                    else:
                        pending = []
                    break
                kind, index, _ = frame
                if kind == "begin":
                    current = index
                    if index in pending:
                        pending.remove(index)
                elif kind == "end":
                    current = None
                elif kind == "broken" and current is not None:
                    yield (CRASH, current, frame[2])
                    break
                elif kind == "broken":
                    pending = []
                elif kind == RENEW:
                    break
                yield frame
        finally:
            child.end()
