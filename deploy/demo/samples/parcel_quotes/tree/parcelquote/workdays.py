"""Days on which vans run."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta

SATURDAY, SUNDAY = 5, 6


@dataclass(frozen=True)
class Workdays:
    """Monday to Friday without holidays; Saturdays only where asked for."""

    holidays: frozenset[date] = field(default_factory=frozenset)

    def is_workday(self, day: date, *, saturday: bool = False) -> bool:
        if day in self.holidays or day.weekday() == SUNDAY:
            return False
        return saturday or day.weekday() != SATURDAY

    def next_workday(self, day: date) -> date:
        """The day itself if vans run on it, else the first one after it."""
        while not self.is_workday(day):
            day += timedelta(days=1)
        return day

    def after(self, day: date, count: int, *, saturday: bool = False) -> date:
        """The day that is `count` workdays after `day`."""
        while count > 0:
            day += timedelta(days=1)
            if self.is_workday(day, saturday=saturday):
                count -= 1
        return day
