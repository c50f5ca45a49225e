"""How Dagster's daemon waits for its next turn: it tells meanwhile that it is alive, and its loop for sensors goes on
as soon as a tick of one that long-polls has ended. Uses private APIs of Dagster.

A sensor that long-polls sees an event at once only during a tick, so that little time may pass between two of them.
Looking for the next one all the time would cost an idle platform half a percent of a core.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from core.heartbeats import Rounds

WAIT_SECONDS = 5.0
"""A loop that waits for its next turn says so as often."""
SOON_SECONDS = 2.0
"""A sensor long-polls if its shortest interval is no longer. After a tick that ended earlier, turns come often for so
long, since the next tick is to begin as soon as that interval is over."""


class Ends:
    """The ends of ticks of sensors that long-poll."""

    def __init__(self) -> None:
        self._early = -SOON_SECONDS
        self._new = threading.Event()

    def note(self, began: float) -> None:
        now = time.monotonic()
        if now - began < SOON_SECONDS:
            self._early = now
        self._new.set()

    def recent(self) -> bool:
        """Whether a tick has just ended early."""
        return time.monotonic() - self._early < SOON_SECONDS

    def wait(self, seconds: float) -> bool:
        """Whether one has ended since the last call, or does within `seconds`."""
        ended = self._new.wait(seconds)
        self._new.clear()
        return ended


class Turns:
    """The event that ends a daemon's loop, by which the loop waits for its next turn, for up to a minute. `soon` is the
    longest wait in seconds while `ends` are recent."""

    def __init__(self, ended: threading.Event, waits: Callable[[], None], ends: Ends | None, soon: float) -> None:
        self._ended, self._waits, self._ends, self._soon = ended, waits, ends, soon

    def is_set(self) -> bool:
        return self._ended.is_set()

    def wait(self, timeout: float) -> bool:
        if self._ends is not None:
            return self._wait_for_ends(self._ends, timeout)
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0 and not self._ended.wait(min(left, WAIT_SECONDS)):
            self._waits()
        return self._ended.is_set()

    def _wait_for_ends(self, ends: Ends, timeout: float) -> bool:
        deadline = time.monotonic() + (min(timeout, self._soon) if ends.recent() else timeout)
        while (left := deadline - time.monotonic()) > 0 and not self._ended.is_set():
            if ends.wait(min(left, self._soon)):
                break
        return self._ended.is_set()


def paced(daemons: Sequence[Any], beat: Callable[[], None], soon: float) -> Sequence[Any]:
    """The same daemons, whose loops tell when they go on. Raises `LookupError` if one is built otherwise."""
    rounds = Rounds({daemon.daemon_type() for daemon in daemons}, beat)
    for daemon in daemons:
        name = daemon.daemon_type()
        if not callable(getattr(daemon, "core_loop", None)):
            raise LookupError(f"the daemon {name} has no core_loop")
        ends = _ends_of_ticks(daemon) if name == "SENSOR" else None
        daemon.core_loop = _telling(daemon.core_loop, name, rounds, ends, soon)
    return daemons


def _ends_of_ticks(daemon: Any) -> Ends:
    executor = getattr(daemon, "_threadpool_executor", None)
    if executor is None:
        raise LookupError("the sensor daemon has no _threadpool_executor")
    ends, submit = Ends(), executor.submit

    def submitted(*arguments: Any, **named: Any) -> Any:
        began, future = time.monotonic(), submit(*arguments, **named)
        if any(getattr(one, "min_interval_seconds", SOON_SECONDS + 1) <= SOON_SECONDS for one in arguments):
            future.add_done_callback(lambda _: ends.note(began))
        return future

    executor.submit = submitted
    return ends


def _telling(
    loop: Callable[..., Iterator[Any]], name: str, rounds: Rounds, ends: Ends | None, soon: float
) -> Callable[..., Iterator[Any]]:
    def core_loop(context: Any, shutdown: threading.Event) -> Iterator[Any]:
        for step in loop(context, Turns(shutdown, lambda: rounds.goes_on(name), ends, soon)):
            rounds.goes_on(name)
            yield step

    return core_loop
