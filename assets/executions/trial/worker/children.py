"""Forked children that report over a pipe, and a parent that kills one that hangs and continues in a new one."""

import marshal
import mmap
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
_FLUSH_SECONDS = 0.02
"""Frames may wait for so long in the child, since each write wakes the parent."""
_ENDING_SECONDS = 0.3
_NOTHING = -1


class Child:
    """A forked process with one pipe to its parent. Frames are marshalled: built-in types only. What the child has
    begun is in shared memory, so that the parent knows it however the child ends. Frames wait a little, or are sent
    `at_once`."""

    def __init__(self, body: Callable[[Send], None], *, at_once: bool = False) -> None:
        reader, writer = os.pipe()
        self._begun = mmap.mmap(-1, 8)
        self._note(_NOTHING)
        self.pid = os.fork()
        if self.pid == 0:
            os.close(reader)
            _run_child(body, _Sender(writer, self._note, 0.0 if at_once else _FLUSH_SECONDS))
        os.close(writer)
        self._reader = reader
        self._buffer = bytearray()

    def _note(self, index: int) -> None:
        self._begun[:8] = index.to_bytes(8, "little", signed=True)

    @property
    def current(self) -> int | None:
        """The index that the child has begun and not ended."""
        index = int.from_bytes(self._begun[:8], "little", signed=True)
        return None if index == _NOTHING else index

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

    def has_ended(self) -> bool:
        """Whether the process is gone, or goes within a moment; one that has only closed its pipe goes on."""
        until = clock.now() + _ENDING_SECONDS
        while True:
            try:
                if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                    return True
            except ChildProcessError:
                return True
            if clock.now() >= until:
                return False
            select.select([], [], [], 0.005)

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
            self._begun.close()


class _Sender:
    """The child's end. Frames are written together, at the latest by the first one after `patience` seconds."""

    def __init__(self, writer: int, note: Callable[[int], None], patience: float) -> None:
        self._writer, self._note, self._patience = writer, note, patience
        self._waiting = bytearray()
        self._flushed = clock.now()

    def __call__(self, frame: Any) -> None:
        kind, index, _ = frame
        if kind == "begin":
            self._note(index)
        else:
            payload = marshal.dumps(frame)
            self._waiting += len(payload).to_bytes(4, "big") + payload
        if kind not in ("begin", "end") or clock.now() - self._flushed >= self._patience:
            self.flush()
        if kind == "end":
            self._note(_NOTHING)

    def flush(self) -> None:
        data, self._waiting = bytes(self._waiting), bytearray()
        try:
            while data:
                data = data[os.write(self._writer, data) :]
        except OSError:
            if self._patience:
                self._note(_NOTHING)  # which of those that waited has closed the pipe is not known
            raise
        self._flushed = clock.now()


def _run_child(body: Callable[[Send], None], sender: _Sender) -> None:
    try:
        os.setsid()
        try:
            body(sender)
            sender.flush()
        except BaseException:
            sender(("broken", -1, traceback.format_exc(limit=-6)[-2000:]))
    finally:
        os._exit(0)


def supervise(
    work: Callable[[list[int], Send], None],
    indices: list[int],
    grace: Callable[[int], float],
    until: float,
) -> Iterator[tuple[str, int, Any]]:
    """Runs `work(indices, send)` in a child and yields its frames `(kind, index, payload)` but those of a begin.

    The child sends `("begin", i, None)` before and `("end", i, ...)` after each index. An index that does not
    end within `grace(i)` seconds is yielded as `("hang", i, None)`, one that ended the process or made `work`
    raise as `("crash", i, traceback or None)`; a new child then continues with the rest, as it does after the
    frame `("renew", -1, None)`; indices whose end had not arrived by then are run again. An exception of `work`
    outside of any index is yielded as `("broken", -1, traceback)` and ends the run. Stops at `until`, on the
    monotonic clock.
    """
    pending, at_once = list(indices), False
    while pending and clock.now() < until:
        child = Child(lambda send, rest=tuple(pending): work(list(rest), send), at_once=at_once)  # type: ignore[misc]
        try:
            while True:
                current = child.current
                wait = grace(current) if current is not None else grace(pending[0]) + 5.0 if pending else 5.0
                try:
                    frame = child.read(min(wait, max(0.05, until - clock.now())))
                except TimeoutError:
                    if clock.now() < until and child.current != current:
                        continue
                    if current is None or clock.now() >= until:
                        pending = []
                    else:
                        _drop(pending, current)
                        yield (HANG, current, None)
                    break
                if frame is None:
                    # One that has only closed its pipe may have gone on to others since.
                    current = child.current if child.has_ended() or at_once else None
                    if current is not None:
                        _drop(pending, current)
                        yield (CRASH, current, None)
                    elif at_once:
                        pending = []
                    at_once = True  # what it had not sent yet is not lost again
                    break
                kind, index, _ = frame
                if kind == "end":
                    _drop(pending, index)
                elif kind == "broken" and (current := child.current) is not None:
                    _drop(pending, current)
                    yield (CRASH, current, frame[2])
                    break
                elif kind == "broken" and (at_once or not pending):
                    pending = []
                elif kind == "broken":
                    at_once = True
                    break
                elif kind == RENEW:
                    break
                yield frame
        finally:
            child.end()


def _drop(pending: list[int], index: int) -> None:
    if index in pending:
        pending.remove(index)
