"""The parts of a platform that its supervisor keeps alive: child processes and the embedded database."""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from core.database.embedded import EmbeddedServer
from dagster_project import hangs
from dagster_project.forked import Forked

MAX_RESTART_DELAY = 30.0
_SET_CHILD_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)
STEADY_SECONDS = 60.0
"""A part that has run for so long is restarted soon when it ends."""
FAILING = 4
"""A part that has ended so often, with no steady time between, is said to fail."""
TRUSTED_SECONDS = 10.0
"""A failing part counts as up only after so long."""


class StartFailed(RuntimeError):
    """A process of the platform did not start; the message names it and its log file, and quotes the last lines."""


class PartState(StrEnum):
    STARTING = "starting"
    UP = "up"
    MUTE = "not answering"
    """It runs and has answered before; it is ended and started again if it stays so."""
    RESTARTING = "restarting"
    """It has ended, and is started again after a delay."""
    FAILING = "failing"
    """It has ended several times; it is started again after longer delays."""


@dataclass
class Restarts:
    """When a part that ends is started again: after a delay that doubles each time. Times are of `time.monotonic`."""

    failures: int = 0
    restart_at: float = 0.0
    """0 if none is planned."""
    started_at: float = 0.0
    starts: int = 0
    since: float = 0.0
    """When it started, in seconds since the epoch."""
    answered: bool = False
    """Whether it has answered since its start."""
    hearing: hangs.Hearing = field(default_factory=hangs.Hearing)

    def steady(self, now: float) -> None:
        if now - self.started_at > STEADY_SECONDS:
            self.failures = 0

    def plan(self, now: float) -> float:
        """Plans the next start, and returns the seconds until then."""
        delay = min(MAX_RESTART_DELAY, 0.5 * 2.0 ** min(self.failures, 10))
        self.failures += 1
        self.restart_at = now + delay
        return delay

    def hasten(self, now: float) -> None:
        """Starts at once what waits."""
        if self.restart_at:
            self.restart_at = now

    def started(self, now: float) -> None:
        self.restart_at, self.started_at, self.answered = 0.0, now, False
        self.hearing = hangs.Hearing(asked_at=now)
        self.starts, self.since = self.starts + 1, time.time()

    def state(self, now: float, ended: bool) -> PartState:
        failing = self.failures >= FAILING
        if self.answered and not ended and (not failing or now - self.started_at > TRUSTED_SECONDS):
            return PartState.MUTE if self.hearing.detail() else PartState.UP
        if failing:
            return PartState.FAILING
        return PartState.RESTARTING if ended else PartState.STARTING


@dataclass
class Child:
    """One process of the platform. `ready` says whether it answers, `grace` how many seconds it may take to stop.
    `alive` is asked again and again while it runs; None for a part of which only is seen that it has ended or was
    stopped. `heartbeat` is the file that it touches while it works (`core.heartbeats`)."""

    name: str
    argv: list[str]
    ready: Callable[[], bool]
    grace: float = 10.0
    alive: Callable[[], bool] | None = None
    heartbeat: Path | None = None
    forks: bool = False
    """Whether it needs what the supervisor imports for several, and may begin as a fork of it."""
    process: subprocess.Popen[bytes] | Forked | None = None
    restarts: Restarts = field(default_factory=Restarts)

    def __post_init__(self) -> None:
        if self.heartbeat is not None and self.alive is None:
            self.alive = hangs.beats(self.heartbeat)

    @property
    def pid(self) -> int | None:
        """None before the first start."""
        return self.process.pid if self.process else None

    def answers(self, now: float) -> bool:
        """Whether it is alive. One that is just starting need not answer yet."""
        if not self.restarts.answered:
            return now - self.restarts.started_at < hangs.BEGIN_SECONDS
        return self.alive is None or self.alive()

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()

    def ended(self) -> str | None:
        """How it ended, in words; None while it runs."""
        if self.process is None or self.process.poll() is None:
            return None
        code = int(self.process.returncode or 0)
        if code >= 0:
            return f"ended with code {code}"
        with contextlib.suppress(ValueError):
            return f"was ended by {signal.Signals(-code).name}"
        return f"was ended by signal {-code}"


@dataclass
class EmbeddedDatabase:
    """The embedded server, which runs when the supervisor begins."""

    server: EmbeddedServer
    name: str = "database"
    restarts: Restarts = field(default_factory=Restarts)

    @property
    def pid(self) -> int:
        return self.server.pid

    def answers(self, _now: float) -> bool:
        return self.server.answers()

    def kill(self) -> None:
        self.server.kill()

    def go_on(self) -> None:
        """Lets a server that a signal has stopped hear that it is to end."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self.server.alive():
                os.kill(self.server.pid, signal.SIGCONT)

    def ready(self) -> bool:
        return True  # a start returns when it answers

    def ended(self) -> str | None:
        return None if self.server.alive() else "ended"

    def start_again(self) -> None:
        """Raises `DatabaseNotStarted`."""
        self.server.start_again()
        self.restarts.started(time.monotonic())


Part = Child | EmbeddedDatabase


class Waiting:
    """Waits until one of some processes ends, or somebody calls `wake`: any thread, or a signal's handler."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        for descriptor in (self._read, self._write):
            os.set_blocking(descriptor, False)

    def wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._write, b".")

    def wait(self, seconds: float, pids: Iterable[int | None]) -> None:
        """Where the kernel cannot tell that a process has ended, only time and `wake` end it."""
        poll, opened = select.poll(), []
        poll.register(self._read, select.POLLIN)
        try:
            for pid in pids:
                with contextlib.suppress(OSError, AttributeError):
                    opened.append(os.pidfd_open(pid or 0))
                    poll.register(opened[-1], select.POLLIN)
            poll.poll(seconds * 1000)
        finally:
            for descriptor in opened:
                os.close(descriptor)
        with contextlib.suppress(BlockingIOError):
            os.read(self._read, 4096)


def adopt_orphans() -> set[int]:
    """Makes this process the parent of descendants whose own parent ended (Linux). A container's first process, which
    else becomes it, may never notice that they end, and a process that nobody noticed ending counts as running.
    Returns the children that it has already, which are of others: a shell that replaced itself by this program."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    return adopted([])


def adopted(children: Iterable[Child]) -> set[int]:
    """The child processes of this process other than `children`. Those that have ended are noticed, and not listed."""
    own = {child.pid for child in children}
    found = set()
    with contextlib.suppress(OSError):
        listed = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split()
        for pid in {int(one) for one in listed} - own:
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(pid, os.WNOHANG)[0] == 0:
                    found.add(pid)
    return found


def end_adopted(children: Iterable[Child], spared: Set[int], seconds: float) -> None:
    """Ends adopted processes, such as runs whose warm process was killed: SIGTERM, then SIGKILL after `seconds`."""
    children = list(children)
    for number, wait in ((signal.SIGTERM, seconds), (signal.SIGKILL, 2.0)):
        for pid in adopted(children) - spared:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + wait
        while adopted(children) - spared and time.monotonic() < deadline:
            time.sleep(0.02)
