"""Discounts: by the number of parcels in a month, and by promotion code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from parcelquote.errors import UnknownCode
from parcelquote.money import Money


@dataclass(frozen=True)
class Promotion:
    """A code with its rate; both dates belong to its validity."""

    code: str
    percent: Decimal
    first_day: date
    last_day: date

    def valid_on(self, day: date) -> bool:
        return self.first_day <= day <= self.last_day


@dataclass(frozen=True)
class Discounts:
    volume: list[tuple[int, Decimal]] = field(default_factory=list)
    promotions: Mapping[str, Promotion] = field(default_factory=dict)

    def volume_percent(self, parcels_this_month: int) -> Decimal:
        percent = Decimal(0)
        for count, rate in self.volume:
            if parcels_this_month >= count:
                percent = rate
        return percent

    def promotion(self, code: str, day: date) -> Promotion:
        """The promotion behind a code, in whatever case it was typed. Raises `UnknownCode`."""
        promotion = self.promotions.get(code.strip().upper())
        if promotion is None or not promotion.valid_on(day):
            raise UnknownCode(f"the code {code!r} is not valid")
        return promotion

    def amount(self, base: Money, parcels_this_month: int, code: str | None, day: date) -> Money:
        """What is taken off the base price. The better of the two counts, they do not add up."""
        percent = self.volume_percent(parcels_this_month)
        if code:
            percent = max(percent, self.promotion(code, day).percent)
        return base.percent(percent)
