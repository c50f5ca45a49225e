"""Starts programs from one thread that lives as long as this process.

The kernel's "die with parent" (PR_SET_PDEATHSIG) means the thread that started a program, not the process: a sandbox
started from a short-lived thread would be killed when that thread ends.
"""

import os
import queue
import subprocess
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Started:
    """A started program, and this process's ends of its pipes, which the caller closes."""

    process: "subprocess.Popen[bytes]"
    stdin: int
    stdout: int
    stderr: int

    def abandon(self) -> None:
        """Kills the program, waits for its end and closes the pipes."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.stdin, self.stdout, self.stderr):
            os.close(pipe)


@dataclass(frozen=True)
class _Request:
    argv: Sequence[str]
    pass_fds: Sequence[int]
    environment: Mapping[str, str]
    answer: "Future[Started]" = field(default_factory=Future)


def _start(request: _Request) -> Started:
    ours: list[int] = []
    theirs: list[int] = []
    try:
        for reading in (True, False, False):
            read, write = os.pipe()
            theirs.append(read if reading else write)
            ours.append(write if reading else read)
        process = subprocess.Popen(
            list(request.argv),
            stdin=theirs[0],
            stdout=theirs[1],
            stderr=theirs[2],
            cwd="/",
            env=dict(request.environment),
            pass_fds=list(request.pass_fds),
            start_new_session=True,
        )
    except BaseException:
        for end in ours:
            os.close(end)
        raise
    finally:
        for end in theirs:
            os.close(end)
    return Started(process, *ours)


class _Spawner:
    """The thread and its queue, created at the first request, and again in a forked child."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self._lock = threading.Lock()
        self._requests: queue.SimpleQueue[_Request] | None = None

    def submit(self, request: _Request) -> None:
        with self._lock:
            if self._requests is None:
                self._requests = queue.SimpleQueue()
                threading.Thread(target=_serve, args=(self._requests,), name="sandbox-spawner", daemon=True).start()
            self._requests.put(request)


def _serve(requests: "queue.SimpleQueue[_Request]") -> None:
    while True:
        request = requests.get()
        try:
            started = _start(request)
        except BaseException as error:
            request.answer.set_exception(error)
        else:
            request.answer.set_result(started)


_spawner = _Spawner()
os.register_at_fork(after_in_child=_spawner.forget)


def spawn(
    argv: Sequence[str], *, pass_fds: Sequence[int] = (), environment: Mapping[str, str] | None = None
) -> Started:
    """Starts a program with three pipes, the descriptors `pass_fds`, and `environment` as all of its variables.
    Raises `OSError` as `subprocess.Popen` does."""
    request = _Request(argv, pass_fds, {} if environment is None else environment)
    _spawner.submit(request)
    return request.answer.result()
