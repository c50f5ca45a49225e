"""Prices in steps: so much for the first kWh, another price for the next."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True)
class Step:
    """The price of each kWh above the step before and up to `upto` kWh in a year; None for all that follow."""

    upto: int | None
    price: Decimal


@dataclass(frozen=True)
class Tariff:
    """`steps` in order of their limits. `base` is what a day costs whether or not something is used."""

    steps: tuple
    base: Decimal = Decimal(0)

    def __post_init__(self):
        limits = [step.upto for step in self.steps]
        if not limits or limits[-1] is not None or None in limits[:-1]:
            raise ValueError("the last step, and no other, has no limit")
        if any(one >= other for one, other in zip(limits[:-1], limits[1:-1])):
            raise ValueError("the limits of the steps must rise")


def cost_of(tariff, amount, days=365):
    """What `amount` kWh in `days` days cost, as (kWh, price) for each step that is reached. Limits are for a year, and
    for other numbers of days in proportion, in whole kWh."""
    parts, below = [], 0
    for step in tariff.steps:
        limit = amount if step.upto is None else min(amount, step.upto * days // 365)
        if limit > below:
            parts.append((limit - below, step.price))
            below = limit
    return parts
