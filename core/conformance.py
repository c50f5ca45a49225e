"""Shared by the conformance suites of all protocols: how a check fails, and how one runs in a forked process."""

import os
import threading
from collections.abc import Callable

FORK_SECONDS = 60


class ConformanceFailure(AssertionError):
    """An adapter breaks a promise of its protocol; the message says which and how."""


def require(holds: bool, message: str) -> None:
    """Raises `ConformanceFailure` with `message` unless `holds`."""
    if not holds:
        raise ConformanceFailure(message)


def require_in_fork(holds: Callable[[], bool]) -> None:
    """Calls `holds` in a forked process, for at most a minute. Raises `ConformanceFailure` unless it returns true."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if holds() else 2
        finally:
            os._exit(status)
    stopper = threading.Timer(FORK_SECONDS, lambda: os.kill(child, 9))
    stopper.start()
    _, status = os.waitpid(child, 0)
    stopper.cancel()
    require(status == 0, f"a forked child ended with status {status}")
