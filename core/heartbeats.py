"""Signs of life of a process whose work nobody can ask about: its main loop touches a file after each round.

Whoever started the process watches the file (`dagster_project.hangs`). A beat comes from the loop that does the work,
not from a thread beside it, so that a process that lives but no longer works falls silent.
"""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

HEARTBEAT_VARIABLE = "PENSTOCK_HEARTBEAT"
"""Names the file in the process's environment."""
MOST_OFTEN = 1.0
"""Seconds between two touches of the file at least."""


def heartbeat() -> Callable[[], None]:
    """What the main loop calls, as often as it likes; does nothing in a process that nobody watches."""
    name = os.environ.get(HEARTBEAT_VARIABLE, "")
    file, last = Path(name), -MOST_OFTEN

    def beat() -> None:
        nonlocal last
        now = time.monotonic()
        if name and now - last >= MOST_OFTEN:
            last = now
            with contextlib.suppress(OSError):  # a full disk or a lost folder ends no work
                file.touch()

    return beat


class Rounds:
    """Beats for a process with several loops: once each of them has gone on since the last beat."""

    def __init__(self, loops: set[str], beat: Callable[[], None]) -> None:
        self._loops, self._beat = frozenset(loops), beat
        self._gone_on: set[str] = set()

    def goes_on(self, loop: str) -> None:
        """Called by each loop, in a thread of its own."""
        self._gone_on.add(loop)
        if self._gone_on >= self._loops:
            self._gone_on = set()
            self._beat()
