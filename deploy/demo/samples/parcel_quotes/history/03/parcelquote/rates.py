"""Base prices: for each zone, rows of a weight limit in grams and a price, sorted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from parcelquote.errors import CardError, TooLarge
from parcelquote.money import Money
from parcelquote.parcel import Parcel
from parcelquote.zones import Zone


@dataclass(frozen=True)
class RateTable:
    """Prices by zone name and chargeable weight in grams."""

    by_zone: Mapping[str, list[tuple[int, Money]]]
    max_girth: int = 300
    max_side: int = 175

    def base_price(self, parcel: Parcel, zone: Zone) -> Money:
        """The price before surcharges. Raises `TooLarge` when the carrier does not take the parcel."""
        self._check_size(parcel)
        rows = self.by_zone.get(zone.name)
        if not rows:
            raise CardError(f"prices.{zone.name}", "no prices for this zone")
        for limit, price in rows:
            if parcel.chargeable_grams <= limit:
                return price
        raise TooLarge(
            f"{parcel.chargeable_grams / 1000:g} kg is more than the {rows[-1][0] / 1000:g} kg "
            f"that zone {zone.name} allows"
        )

    def _check_size(self, parcel: Parcel) -> None:
        if parcel.longest_side > self.max_side:
            raise TooLarge(f"the longest side is {parcel.longest_side} cm, at most {self.max_side} cm are possible")
        if parcel.girth > self.max_girth:
            raise TooLarge(f"the girth is {parcel.girth} cm, at most {self.max_girth} cm are possible")
