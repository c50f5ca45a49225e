"""Amounts in cents, with the rounding that the carrier's invoices use."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

_AMOUNT = re.compile(r"^-?\d+(\.\d{1,2})?$")


@dataclass(frozen=True, order=True)
class Money:
    """An amount in euro cents. May be negative, for discounts."""

    cents: int

    @classmethod
    def parse(cls, text: str) -> Money:
        """Reads `12`, `12.5` or `12.50`. Raises `ValueError` for anything else."""
        if not _AMOUNT.match(text):
            raise ValueError(f"not an amount: {text!r}")
        return cls(int(Decimal(text) * 100))

    @classmethod
    def zero(cls) -> Money:
        return cls(0)

    def __add__(self, other: Money) -> Money:
        return Money(self.cents + other.cents)

    def __sub__(self, other: Money) -> Money:
        return Money(self.cents - other.cents)

    def __neg__(self) -> Money:
        return Money(-self.cents)

    def times(self, factor: Decimal | int) -> Money:
        """Multiplies, rounding half a cent away from zero."""
        product = Decimal(self.cents) * Decimal(factor)
        return Money(int(product.quantize(Decimal(1), rounding=ROUND_HALF_UP)))

    def percent(self, rate: Decimal | int) -> Money:
        return self.times(Decimal(rate) / 100)

    def __str__(self) -> str:
        sign = "-" if self.cents < 0 else ""
        euros, cents = divmod(abs(self.cents), 100)
        return f"{sign}{euros}.{cents:02d}"


def total(amounts: list[Money]) -> Money:
    """The sum of amounts; zero for none."""
    result = Money.zero()
    for amount in amounts:
        result = result + amount
    return result
