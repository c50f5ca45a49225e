"""Times of the day with their own price."""

from dataclasses import dataclass
from datetime import time


@dataclass(frozen=True)
class Band:
    """From `start` until before `end`, on `days` (0 is Monday). A band may go over midnight: then its hours after
    midnight belong to the day on which it began."""

    name: str
    start: time
    end: time
    days: frozenset = frozenset(range(7))

    def contains(self, moment):
        """Whether a moment, by the clock of the meter, lies in the band."""
        clock, weekday = moment.time(), moment.weekday()
        return weekday in self.days and self.start <= clock < self.end


def band_of(bands, moment, default="day"):
    """The name of the first band that contains the moment."""
    return next((band.name for band in bands if band.contains(moment)), default)


def split(bands, values, default="day"):
    """kWh by name of the band, from pairs of moment and kWh."""
    totals = {name: 0 for name in (default, *(band.name for band in bands))}
    for moment, amount in values:
        totals[band_of(bands, moment, default)] += amount
    return totals
