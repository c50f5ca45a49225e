"""What is added to the base price, each with the label that the customer reads."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from parcelquote.money import Money
from parcelquote.parcel import Parcel
from parcelquote.zones import Zone


@dataclass(frozen=True)
class Surcharge:
    label: str
    amount: Money


@dataclass(frozen=True)
class SurchargeRules:
    """Rates of one card. `bulky_side` is in centimetres, `fuel_percent` is of the base price."""

    fuel_percent: Decimal = Decimal(0)
    remote: Money = Money(0)
    bulky: Money = Money(0)
    bulky_side: int = 120
    saturday: Money = Money(0)

    def apply(self, base: Money, parcel: Parcel, zone: Zone, *, saturday: bool = False) -> list[Surcharge]:
        """The surcharges that hold, in the order in which they are printed."""
        found = []
        if self.fuel_percent:
            found.append(Surcharge(f"Fuel {self.fuel_percent}%", base.percent(self.fuel_percent)))
        if zone.remote and self.remote.cents:
            found.append(Surcharge("Remote area", self.remote))
        if parcel.longest_side > self.bulky_side:
            found.append(Surcharge("Bulky", self.bulky))
        if saturday:
            found.append(Surcharge("Saturday delivery", self.saturday))
        return found
