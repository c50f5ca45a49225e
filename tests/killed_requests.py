"""Kills whoever talks to a fake forge between any two of its requests."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TypeVar

from deploy.fake_forge import FakeForge

Work = TypeVar("Work")


def killed_between_requests(
    forge: FakeForge, new: Callable[[], Work], act: Callable[[Work], None], *, least: int
) -> Iterator[tuple[int, Work]]:
    """Does `act` once undisturbed, which takes more than `least` requests; then for each of them, on work of its own,
    in a process that is killed after it and once more after that. Yields the number of the request and the work."""
    before = len(forge.requests)
    act(new())
    requests = len(forge.requests) - before
    assert requests > least
    for number in range(1, requests + 1):
        work = new()
        start = len(forge.requests)
        child = os.fork()
        if child == 0:
            with suppress(BaseException):
                act(work)
            os._exit(0)
        ended = 0
        while not ended and len(forge.requests) < start + number:
            ended, _ = os.waitpid(child, os.WNOHANG)
            time.sleep(0.001)  # polls; nothing is measured
        if not ended:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        act(work)
        yield number, work
