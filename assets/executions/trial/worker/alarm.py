"""Interrupts a test, or the import of a test file, that has used up its time."""

import signal
from types import FrameType
from typing import Any

from .clock import clock

_AGAIN = 0.2969
"""Seconds between two alarms; an unusual number, by which the alarm knows its own timers."""
_TIMER_OF = {signal.SIGALRM: signal.ITIMER_REAL, signal.SIGPROF: signal.ITIMER_PROF}
_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_PROF, signal.ITIMER_VIRTUAL)
# Bound now: a test may replace the functions of `signal`.
_setitimer, _getitimer = signal.setitimer, signal.getitimer
_signal, _getsignal, _mask = signal.signal, signal.getsignal, signal.pthread_sigmask


class Hang(BaseException):
    """Raised inside a test that has used up its time."""


class Alarm:
    """Raises `Hang` in the main thread after `cpu` seconds of processor time or `wall` seconds, then every 0.3 s, but
    never after `stop`. Timers and handlers that the test itself sets work, and are not left to the next test."""

    def __init__(self, cpu: float, wall: float) -> None:
        self._limits = {signal.SIGPROF: cpu, signal.SIGALRM: wall}
        self._armed = False
        self._before: dict[int, Any] = {}
        self.rang = False
        """Whether it interrupted the test, which may have caught that."""

    def start(self) -> None:
        _mask(signal.SIG_UNBLOCK, _TIMER_OF)
        self._since = {signal.SIGPROF: clock.cpu(), signal.SIGALRM: clock.now()}
        self._before = {number: _signal(number, self._ring) for number in _TIMER_OF}
        self._armed = True
        for number, timer in _TIMER_OF.items():
            _setitimer(timer, self._limits[number], _AGAIN)

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *_: object) -> None:
        self.surely_stop()

    def stop(self) -> None:
        """After this, nothing is raised. Raises `Hang` when the alarm rings just before."""
        self._armed = False
        for timer in _TIMERS:
            _setitimer(timer, 0)
        _mask(signal.SIG_UNBLOCK, _TIMER_OF)
        for number, handler in self._before.items():
            if _getsignal(number) == self._ring:
                _signal(number, handler if handler is not None else signal.SIG_DFL)
        self._before = {}

    def surely_stop(self) -> None:
        """Stops it; an alarm that rings meanwhile comes too late and is dropped."""
        for _ in range(10):
            try:
                self.stop()
            except Hang:
                continue
            return

    def _ring(self, number: int, frame: FrameType | None) -> None:
        if self._is_ours(number):
            if self._armed:
                self.rang = True
                raise Hang("out of time")
            return
        handler = self._before.get(number)
        if callable(handler):
            handler(number, frame)  # the program's own timer, with a handler that it set when it was imported

    def _is_ours(self, number: int) -> bool:
        if not self._armed:
            return True
        kind = signal.SIGPROF if number == signal.SIGPROF else signal.SIGALRM
        used = (clock.cpu() if kind == signal.SIGPROF else clock.now()) - self._since[kind]
        return abs(_getitimer(_TIMER_OF[kind])[1] - _AGAIN) < 0.001 and used >= 0.6 * self._limits[kind]
