"""Starts programs from one thread that lives as long as this process.

The kernel's "die with your parent" is about the thread that started a program, not the process: a
sandbox started from a short-lived thread would be killed when that thread ends.
"""

import os
import queue
import subprocess
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field


@dataclass(frozen=True)
class _Request:
    argv: Sequence[str]
    pass_fds: Sequence[int]
    environment: Mapping[str, str]
    answer: "Future[subprocess.Popen[bytes]]" = field(default_factory=Future)


class _Spawner(threading.Thread):
    def __init__(self) -> None:
        super().__init__(name="sandbox-spawner", daemon=True)
        self.requests: queue.SimpleQueue[_Request] = queue.SimpleQueue()

    def run(self) -> None:
        while True:
            request = self.requests.get()
            try:
                process = subprocess.Popen(
                    list(request.argv),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    bufsize=0,
                    cwd="/",
                    env=dict(request.environment),
                    pass_fds=list(request.pass_fds),
                    start_new_session=True,
                )
            except BaseException as error:
                request.answer.set_exception(error)
            else:
                request.answer.set_result(process)


_lock = threading.Lock()
_spawner: _Spawner | None = None


def _forget() -> None:
    """A forked child has no spawner thread: it starts its own when it needs one."""
    global _lock, _spawner
    _lock = threading.Lock()
    _spawner = None


os.register_at_fork(after_in_child=_forget)


def spawn(
    argv: Sequence[str], *, pass_fds: Sequence[int] = (), environment: Mapping[str, str] | None = None
) -> "subprocess.Popen[bytes]":
    """Starts a program with three pipes, no inherited descriptors but `pass_fds`, and only `environment`.
    Raises `OSError` as `subprocess.Popen` does."""
    global _spawner
    with _lock:
        if _spawner is None:
            _spawner = _Spawner()
            _spawner.start()
        spawner = _spawner
    request = _Request(argv, pass_fds, {} if environment is None else environment)
    spawner.requests.put(request)
    return request.answer.result()
