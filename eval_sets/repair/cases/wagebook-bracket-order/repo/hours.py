"""Time sheets: lines of text to worked hours.

    2024-03-04 08:00-12:00 12:30-17:15
    2024-03-05 22:00-06:00
"""

import re
from datetime import date, datetime, timedelta

LINE = re.compile(r"^(\d{4}-\d{2}-\d{2})((?:\s+\d{1,2}:\d{2}-\d{1,2}:\d{2})+)$")
SPAN = re.compile(r"(\d{1,2}:\d{2})-(\d{1,2}:\d{2})")

NIGHT_STARTS, NIGHT_ENDS = 22, 6


class SheetError(ValueError):
    def __init__(self, number, line):
        super().__init__(f"line {number}: cannot read {line!r}")
        self.number = number


class Shift:
    """One span of work. It may run past midnight."""

    def __init__(self, start, end):
        self.start = start
        self.end = end

    @property
    def hours(self):
        return (self.end - self.start).total_seconds() / 3600

    @property
    def night_hours(self):
        """Hours between 22:00 and 06:00, counted in steps of a quarter."""
        quarter = timedelta(minutes=15)
        moment, count = self.start, 0
        while moment < self.end:
            if moment.hour >= NIGHT_STARTS or moment.hour < NIGHT_ENDS:
                count += 1
            moment += quarter
        return count / 4


def parse_sheet(text):
    """The shifts of a time sheet. Raises SheetError."""
    shifts = []
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.partition("#")[0].strip()
        if not line:
            continue
        match = LINE.match(line)
        if match is None:
            raise SheetError(number, line)
        for start, end in SPAN.findall(match.group(2)):
            shifts.append(_shift(match.group(1), start, end))
    return shifts


def _shift(day, start, end):
    first = datetime.strptime(f"{day} {start}", "%Y-%m-%d %H:%M")
    last = datetime.strptime(f"{day} {end}", "%Y-%m-%d %H:%M")
    if last <= first:
        last += timedelta(days=1)
    return Shift(first, last)


def by_day(shifts):
    """Hours by the day on which a shift starts."""
    days = {}
    for shift in shifts:
        day = shift.start.date()
        days[day] = days.get(day, 0) + shift.hours
    return days


def by_week(shifts):
    """Hours by ISO week, like (2024, 10)."""
    weeks = {}
    for day, hours in by_day(shifts).items():
        year, week, _ = day.isocalendar()
        weeks[year, week] = weeks.get((year, week), 0) + hours
    return weeks


def is_weekend(day: date) -> bool:
    return day.isoweekday() > 5
