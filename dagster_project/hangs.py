"""Whether a part of the platform hangs, decided from what it answers and from what its process does meanwhile.

A part is asked every `ASK_SECONDS`. Silence alone proves nothing on a busy machine, and there a process that wants to
run still gets some of the processors, or waits for the disk. So three kinds of silence are told apart: of a process
that a signal has stopped, which only another signal lets go on; of one that neither computes nor waits for the disk;
and of one that does, which is given much more time.
"""

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

ASK_SECONDS = 15.0
ENOUGH = 1.0
"""A part hangs when the weights of its silences in a row, `Silence`, come to this."""
BEGIN_SECONDS = 120.0
"""A part that was started and is not ready is asked nothing for so long: importing takes its time."""
COMPUTES = 0.05
"""Seconds of processor time between two questions, from which a process counts as computing. With two hundred others
that want the same core it still gets more; a process that waits for a lock or an answer uses none."""
_TICK = os.sysconf("SC_CLK_TCK")


class Silence(Enum):
    """Why a part has not answered, with the weight of one such answer."""

    STOPPED = "stopped by a signal"
    IDLE = "not answering"
    BUSY = "computing or waiting for the disk, and not answering"

    @property
    def weight(self) -> float:
        return {Silence.STOPPED: 1 / 2, Silence.IDLE: 1 / 6, Silence.BUSY: 1 / 24}[self]


@dataclass(frozen=True)
class Activity:
    """What the kernel says of a process: its state's letter (proc_pid_stat(5)), and the seconds of processor time that
    it and its ended children have used."""

    state: str
    used: float

    @property
    def stopped(self) -> bool:
        return self.state == "T"  # not "t": a debugger holds it


def activity(pid: int | None) -> Activity | None:
    """None where there is no such process, or the kernel tells nothing of it."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        fields = text.rpartition(")")[2].split()
        return Activity(fields[0], sum(int(one) for one in fields[11:15]) / _TICK)
    return None


@dataclass
class Hearing:
    """What was heard of one part since its start."""

    asked_at: float = 0.0
    silences: int = 0
    """How often in a row it has not answered."""
    weight: float = 0.0
    why: Silence | None = None
    _before: Activity | None = None

    def due(self, now: float) -> bool:
        return now - self.asked_at >= ASK_SECONDS

    def heard(self, now: float, answers: bool, does: Activity | None) -> bool:
        """Notes what one question brought; whether the part hangs."""
        before, self._before, self.asked_at = self._before, does, now
        stopped = does is not None and does.stopped
        if answers and not stopped:
            self.silences, self.weight, self.why = 0, 0.0, None
            return False
        self.why = _silence(before, does)
        self.silences += 1
        self.weight += self.why.weight
        return self.weight > ENOUGH - 0.001

    def detail(self) -> str:
        """In words, for a person; empty while it answers."""
        return f"{self.why.value}, asked {self.silences} times" if self.why and self.silences > 1 else ""


def _silence(before: Activity | None, now: Activity | None) -> Silence:
    if now is None:
        return Silence.IDLE
    if now.stopped:
        return Silence.STOPPED
    computes = before is None or now.used - before.used >= COMPUTES
    return Silence.BUSY if computes or now.state in "Dt" else Silence.IDLE


def beats(file: Path) -> Callable[[], bool]:
    """Asks whether a process has touched its file (`core.heartbeats`) since the last question."""
    before: int | None = None

    def beaten() -> bool:
        nonlocal before
        try:
            last = file.stat().st_mtime_ns
        except OSError:
            return False
        gone_on, before = last != before, last
        return gone_on

    return beaten
