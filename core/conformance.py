"""What conformance suites of several protocols share: how a check fails, and how one is made in a forked process."""

import os
import threading
from collections.abc import Callable

FORK_SECONDS = 60


class ConformanceFailure(AssertionError):
    """An adapter does not keep what its protocol promises; the message says what."""


def require(holds: bool, message: str) -> None:
    """Raises `ConformanceFailure` unless it holds."""
    if not holds:
        raise ConformanceFailure(message)


def require_in_fork(holds: Callable[[], bool]) -> None:
    """Asks in a process forked from this one, which has a minute. Raises `ConformanceFailure` unless it holds there."""
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
