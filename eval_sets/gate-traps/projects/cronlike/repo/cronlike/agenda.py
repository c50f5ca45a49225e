"""What runs when."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from .schedule import Schedule


class Agenda:
    """Entries with the time at which each is due next."""

    def __init__(self, start: datetime) -> None:
        self.entries: dict[str, tuple[Schedule, Callable[[], object]]] = {}
        self.due: dict[str, datetime] = {}
        self.errors: list[tuple[str, str]] = []
        self._start = start

    def add(self, name: str, text: str, action: Callable[[], object]) -> None:
        schedule = Schedule.from_text(text)
        self.entries[name] = (schedule, action)
        self.due[name] = schedule.next_after(self._start)

    def run_due(self, now: datetime) -> list[str]:
        """Runs what is due, in the order of the times at which it was. An action that fails is noted in `errors`, and
        the others run all the same. Gives the names of those that ran without an error."""
        done = []
        for name in sorted(self.due, key=self.due.__getitem__):
            if self.due[name] > now:
                continue
            schedule, action = self.entries[name]
            self.due[name] = schedule.next_after(now)
            try:
                action()
            except Exception as error:
                self.errors.append((name, str(error)))
            else:
                done.append(name)
        return done
