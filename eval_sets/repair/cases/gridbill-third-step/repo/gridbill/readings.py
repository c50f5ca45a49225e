"""What a meter showed, and how much was used between two days."""

from dataclasses import dataclass
from datetime import date
from itertools import pairwise


class BadReadings(ValueError):
    """Readings that contradict each other, or too few."""


@dataclass(frozen=True)
class Reading:
    """`value` in whole kWh on a day. `meter` changes when the meter is replaced; then the new one has a reading on the
    day on which the old one has its last."""

    day: date
    value: int
    meter: str = "1"


def used(readings, start, end, digits=6):
    """kWh between two days with readings. A meter with `digits` digits starts again at 0 after its highest number.

    Raises BadReadings.
    """
    readings = sorted(readings, key=lambda one: one.day)
    days = {one.day for one in readings}
    if start not in days or end not in days:
        raise BadReadings("there is no reading on the first or on the last day")
    total = 0
    for before, after in pairwise(one for one in readings if start <= one.day <= end):
        if before.meter != after.meter:
            if before.day != after.day:
                raise BadReadings(f"meter {after.meter} has no reading on {before.day}, when meter {before.meter} ended")
            continue
        total += _difference(before, after, digits)
    return total


def _difference(before, after, digits):
    change = after.value - before.value
    if change >= 0:
        return change
    highest = 10**digits
    # A number that only just fell is an error of reading, not a meter that began again.
    if before.value < highest // 2:
        raise BadReadings(f"{after.value} on {after.day} is less than {before.value} on {before.day}")
    return change + highest
