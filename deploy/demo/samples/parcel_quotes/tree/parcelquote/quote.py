"""Quotes: what a parcel costs to a place, line by line, and how long the price holds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from parcelquote.card import RateCard
from parcelquote.money import Money, total
from parcelquote.parcel import Parcel

VALID_FOR = timedelta(days=14)


@dataclass(frozen=True)
class QuoteRequest:
    parcel: Parcel
    origin: str
    destination: str
    ordered: datetime
    insured: bool = False
    saturday: bool = False
    code: str | None = None
    parcels_this_month: int = 0


@dataclass(frozen=True)
class QuoteLine:
    label: str
    amount: Money


@dataclass(frozen=True)
class Quote:
    """An offer. The lines add up to the total; the price holds until the end of `valid_until`."""

    lines: tuple[QuoteLine, ...]
    zone: str
    delivery: date
    valid_until: date

    @property
    def total(self) -> Money:
        return total([line.amount for line in self.lines])

    def amount_of(self, label: str) -> Money | None:
        for line in self.lines:
            if line.label == label:
                return line.amount
        return None

    def holds_on(self, day: date) -> bool:
        return day <= self.valid_until


class QuoteService:
    """Makes quotes from one rate card."""

    def __init__(self, card: RateCard) -> None:
        self._card = card

    def quote(self, request: QuoteRequest) -> Quote:
        """Prices one parcel. Raises a `QuoteError` that says why there is no price."""
        card = self._card
        card.zones.zone_of(request.origin)
        zone = card.zones.zone_of(request.destination)
        parcel = request.parcel

        base = card.rates.base_price(parcel, zone)
        lines = [QuoteLine(f"Parcel, zone {zone.name}", base)]
        for surcharge in card.surcharges.apply(base, parcel, zone, saturday=request.saturday):
            lines.append(QuoteLine(surcharge.label, surcharge.amount))
        if request.insured:
            lines.append(QuoteLine("Insurance", card.insurance.fee(parcel.value_cents)))
        discount = card.discounts.amount(
            base, request.parcels_this_month, request.code, request.ordered.date()
        )
        if discount.cents:
            lines.append(QuoteLine("Discount", -discount))

        delivery = card.schedule.delivery_day(request.ordered, zone, saturday=request.saturday)
        return Quote(tuple(lines), zone.name, delivery, request.ordered.date() + VALID_FOR)

    def cheapest(self, requests: list[QuoteRequest]) -> Quote:
        """The cheapest of several ways to send the same thing; the first of equals."""
        if not requests:
            raise ValueError("nothing to compare")
        return min((self.quote(request) for request in requests), key=lambda quote: quote.total)
