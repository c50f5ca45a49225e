"""When an event recurs."""

import calendar
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import count as counting

UNITS = ("daily", "weekly", "monthly")


@dataclass(frozen=True)
class Rule:
    """Every `every` units, `times` times or until a day (included), or for ever. `weekdays` (0 is Monday) are for
    weekly rules; without them it is the weekday of the first occurrence."""

    unit: str
    every: int = 1
    times: int | None = None
    until: date | None = None
    weekdays: tuple = ()

    def __post_init__(self):
        if self.unit not in UNITS:
            raise ValueError(f"not a unit: {self.unit!r}")
        if self.every < 1:
            raise ValueError("an event recurs every 1 or more units")


def occurrences(start, rule):
    """The moments at which an event begins, from `start` on: always at the same time by the clock of its zone.

    Months that are too short for the day have theirs on their last day.
    """
    for number, moment in enumerate(_moments(start, rule)):
        if rule.times is not None and number >= rule.times:
            return
        if rule.until is not None and moment.date() > rule.until:
            return
        yield moment


def _moments(start, rule):
    if rule.unit == "monthly":
        for step in counting():
            yield _months_later(start, step * rule.every)
    elif rule.unit == "daily":
        for step in counting():
            yield _at(start, start.date() + timedelta(days=step * rule.every))
    else:
        monday = start.date() - timedelta(days=start.weekday())
        weekdays = sorted(set(rule.weekdays)) or [start.weekday()]
        for step in counting():
            for weekday in weekdays:
                day = monday + timedelta(weeks=step * rule.every, days=weekday)
                if day >= start.date():
                    yield _at(start, day)


def _at(start, day):
    """The time by the clock of `start`, in its zone, on a day."""
    return datetime.combine(day, start.time(), start.tzinfo)


def _months_later(start, months):
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    day = min(start.day, calendar.monthrange(year, month + 1)[1])
    return _at(start, date(year, month + 1, day))
