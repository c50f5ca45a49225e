"""Working hours in the desk's own time zone."""

from datetime import datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo


class WorkingHours:
    """Open from `start` to `end` on `days` (0 is Monday), by the clock of `zone`. `holidays` are dates."""

    def __init__(self, zone, start=time(9), end=time(17), days=(0, 1, 2, 3, 4), holidays=()):
        if not start < end:
            raise ValueError("a working day ends after it starts")
        self.zone = ZoneInfo(zone)
        self.start = start
        self.end = end
        self.days = frozenset(days)
        self.holidays = frozenset(holidays)

    def is_open(self, moment):
        """Whether the desk works at a moment, which has a time zone."""
        local = moment.astimezone(self.zone)
        return self._works_on(local.date()) and self.start <= local.time() < self.end

    def due(self, moment, minutes):
        """The moment, in UTC, at which `minutes` of working time have passed since `moment`."""
        left = timedelta(minutes=minutes)
        day = moment.date()
        begin = moment
        while True:
            if self._works_on(day):
                opens, closes = self._bounds(day)
                begin = max(begin, opens)
                if begin < closes:
                    if left <= closes - begin:
                        return begin.astimezone(timezone.utc) + left
                    left -= closes - begin
            day += timedelta(days=1)

    def _works_on(self, day):
        return day.weekday() in self.days and day not in self.holidays

    def _bounds(self, day):
        bounds = (datetime.combine(day, clock, self.zone) for clock in (self.start, self.end))
        return [one.astimezone(timezone.utc) for one in bounds]
