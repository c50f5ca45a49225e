"""A sandbox that is killed, as by the kernel when the machine's memory is full, says nothing about the repository."""

import threading
import time
from collections.abc import Callable

import psutil
import pytest

from assets.executions.repository.checkout import Checkout
from assets.executions.repository.test_command import detect
from assets.executions.trial.worker_client import PytestWorker
from sandbox.protocol import Limits, Sandbox, SandboxUnavailable

from .conftest import Files

PROGRAMS = ("bwrap", "runsc", "runsc-sandbox", "runsc-gofer")
SLOW = {"test_slow.py": "import time\n\ntime.sleep(60)\n\ndef test_slow():\n    pass\n"}


def sandbox_processes() -> list[psutil.Process]:
    """Of the session that this process has open, the outer ones first."""
    below = psutil.Process().children(recursive=True)
    return [one for one in below if (one.cmdline() or [""])[0].rpartition("/")[2] in PROGRAMS]


@pytest.mark.parametrize("backend", ["bubblewrap", "gvisor"])
@pytest.mark.parametrize("busy", [True, False], ids=["at work", "idle"])
def test_a_killed_sandbox_is_no_result(
    backend: str, busy: bool, checkout: Callable[[Files], Checkout], request: pytest.FixtureRequest
) -> None:
    sandbox: Sandbox = request.getfixturevalue(backend)
    made = checkout(SLOW)
    victims = 0
    for victim in range(len(PROGRAMS)):
        worker = PytestWorker(sandbox, made.root, detect(made.root, None), Limits(wall_seconds=120, cpu_seconds=120))
        try:
            worker.start()
            worker.wait(60)
            found = sandbox_processes()
            if victim >= len(found):
                break
            timer = threading.Timer(0.5 if busy else 0.0, found[victim].kill)
            timer.start()
            if not busy:
                timer.join()
                time.sleep(0.2)
            with pytest.raises(SandboxUnavailable, match=r"killed|bwrap failed"):
                worker.ask("open", 50, coverage=False, instrument_seconds=0)
            victims += 1
        finally:
            worker.close()
    assert victims == {"bubblewrap": 2, "gvisor": 3}[backend]
