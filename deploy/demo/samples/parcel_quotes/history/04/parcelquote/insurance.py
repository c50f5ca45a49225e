"""Cover for the contents: a fee for each range of values."""

from __future__ import annotations

from dataclasses import dataclass

from parcelquote.errors import TooLarge
from parcelquote.money import Money


@dataclass(frozen=True)
class Insurance:
    """Fees by value of the contents in cents. `included` is covered by every parcel's price."""

    fees: list[tuple[int, Money]]
    included: Money = Money(0)

    def fee(self, value_cents: int) -> Money:
        """What cover for the value costs. Raises `TooLarge` above the highest cover."""
        if value_cents <= self.included.cents:
            return Money.zero()
        for highest, fee in self.fees:
            if value_cents <= highest:
                return fee
        raise TooLarge(f"contents can be insured up to {Money(self.fees[-1][0])} euro")
