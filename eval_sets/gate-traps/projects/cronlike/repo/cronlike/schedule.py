"""Schedules in five fields: minute, hour, day of the month, month, weekday."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


class ScheduleError(ValueError):
    pass


def parse_field(text: str, low: int, high: int) -> frozenset[int]:
    """The values of a field: `*`, `5`, `1-5`, `*/15`, `1-9/2`, and several of them with commas. A step counts from the
    start of its range."""
    values: set[int] = set()
    for part in text.split(","):
        span, _, step_text = part.partition("/")
        try:
            step = int(step_text) if step_text else 1
            if span == "*":
                first, last = low, high
            elif "-" in span:
                first, last = map(int, span.split("-"))
            else:
                first = last = int(span)
        except ValueError:
            raise ScheduleError(f"cannot read {part!r}") from None
        if step < 1 or not low <= first <= last <= high:
            raise ScheduleError(f"{part!r} is not within {low} to {high}")
        values.update(range(first, last + 1, step))
    return frozenset(values)


@dataclass(frozen=True)
class Schedule:
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]

    @classmethod
    def from_text(cls, text: str) -> Schedule:
        """`30 9 * * 1-5` is half past nine from Monday to Friday. Sunday is 0 or 7."""
        fields = text.split()
        if len(fields) != 5:
            raise ScheduleError(f"expected 5 fields, got {len(fields)}")
        limits = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)]
        parsed = [parse_field(field, *limit) for field, limit in zip(fields, limits)]
        parsed[4] = frozenset(day % 7 for day in parsed[4])
        return cls(*parsed)

    def matches(self, moment: datetime) -> bool:
        return (
            moment.minute in self.minutes
            and moment.hour in self.hours
            and moment.day in self.days
            and moment.month in self.months
            and moment.isoweekday() % 7 in self.weekdays
        )

    def next_after(self, moment: datetime) -> datetime:
        """The first matching minute that is later than `moment`, within two years."""
        moment = moment.replace(second=0, microsecond=0) + timedelta(minutes=1)
        end = moment + timedelta(days=731)
        while moment < end:
            if self.matches(moment):
                return moment
            if moment.hour not in self.hours:
                moment = moment.replace(minute=0) + timedelta(hours=1)
            else:
                moment += timedelta(minutes=1)
        raise ScheduleError("nothing within two years")
