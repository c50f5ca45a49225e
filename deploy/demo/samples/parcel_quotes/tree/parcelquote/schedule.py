"""When a parcel is collected and when it arrives."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from parcelquote.workdays import Workdays
from parcelquote.zones import Zone


@dataclass(frozen=True)
class Schedule:
    """Orders before the cut-off are collected on the same day, if vans run on it."""

    workdays: Workdays
    cutoff: time = time(15, 30)

    def collection_day(self, ordered: datetime) -> date:
        day = ordered.date()
        if ordered.time() >= self.cutoff:
            day += timedelta(days=1)
        return self.workdays.next_workday(day)

    def delivery_day(self, ordered: datetime, zone: Zone, *, saturday: bool = False) -> date:
        """The day of delivery: the zone's transit days after collection."""
        return self.workdays.after(self.collection_day(ordered), zone.transit_days, saturday=saturday)
