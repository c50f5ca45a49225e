"""Names of processes that stay true: a process id with the moment at which the process started.

The kernel gives ids of ended processes to new ones. A file that outlives its writer, such as the list of a platform's
parts, therefore holds both, and the boot that they belong to, so that nothing is ever sent to a stranger.
"""

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)


def started_ticks(pid: int) -> int | None:
    """When a live process started, in clock ticks since boot; None if it does not run. It distinguishes the process
    from a later one with the same id."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


@lru_cache(maxsize=1)
def boot() -> str:
    """This boot's id; empty where the kernel tells none."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""


@dataclass(frozen=True)
class ProcessName:
    """One process of this machine: its id, its start in clock ticks since boot, and the boot's id."""

    pid: int
    started: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> "ProcessName | None":
        """None if there is no such process."""
        started = started_ticks(pid)
        return None if started is None else cls(pid, started, boot())

    @classmethod
    def read(cls, value: object) -> "ProcessName | None":
        """From what `stored` returned, out of a file that anything may have written; None if it is something else."""
        match value:
            case [int(pid), int(started), str(boot_id)] if pid > 0:
                return cls(pid, started, boot_id)
        return None

    def stored(self) -> list[int | str]:
        """As JSON."""
        return [self.pid, self.started, self.boot]

    def runs(self) -> bool:
        return self.boot == boot() and started_ticks(self.pid) == self.started

    def send(self, number: signal.Signals) -> bool:
        """Sends a signal to this process and no other; whether it was there."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except OSError:
            return False
        try:
            if not self.runs():  # asked while the descriptor holds the id
                return False
            signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(descriptor)
        return True


def await_end(names: Iterable[ProcessName], seconds: float) -> list[ProcessName]:
    """Waits until the processes have ended; those that still run after `seconds`."""
    deadline = time.monotonic() + seconds
    left = [name for name in names if name.runs()]
    while left and time.monotonic() < deadline:
        time.sleep(0.02)
        left = [name for name in left if name.runs()]
    return left


def end(names: Iterable[ProcessName], seconds: float) -> list[ProcessName]:
    """Ends processes: SIGTERM, then SIGKILL after `seconds`. Those that even that did not end."""
    left = [name for name in names if name.send(signal.SIGTERM)]
    left = await_end(left, seconds)
    for name in left:
        name.send(signal.SIGKILL)
    return await_end(left, 5.0)


def ends_with_parent(number: signal.Signals = signal.SIGTERM) -> Callable[[], None]:
    """What a new process calls before it becomes another program (`preexec_fn`), so that the kernel sends it a signal
    when its parent ends in any way (Linux).

    The kernel means the thread that starts it, not the process: call this in a thread that lives as long, the first.
    """
    parent = os.getpid()
    prctl = getattr(ctypes.CDLL(None), "prctl", None)  # looked up before the fork

    def between_fork_and_exec() -> None:
        # What an ancestor ignores or blocks, a child would too, and then nothing ended it.
        signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (number,))
        if prctl is not None:
            prctl(_SET_PARENT_DEATH_SIGNAL, int(number), 0, 0, 0)
            if os.getppid() != parent:  # it ended before the kernel knew
                os._exit(1)

    return between_fork_and_exec
