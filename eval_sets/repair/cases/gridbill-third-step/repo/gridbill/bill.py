"""Bills."""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from .readings import used
from .tariff import cost_of

CENT = Decimal("0.01")


@dataclass(frozen=True)
class Line:
    text: str
    amount: Decimal


@dataclass(frozen=True)
class Bill:
    lines: tuple
    tax: Decimal
    paid: Decimal = Decimal(0)

    @property
    def net(self):
        return sum((line.amount for line in self.lines), Decimal(0))

    @property
    def gross(self):
        return self.net + self.tax

    @property
    def due(self):
        """What is to be paid; less than nothing is given back."""
        return self.gross - self.paid


def rounded(amount):
    return amount.quantize(CENT, ROUND_HALF_UP)


def make_bill(tariff, readings, start, end, tax_rate=Decimal("0.19"), paid=Decimal(0)):
    """The bill for the days from `start` until before `end`. Raises BadReadings."""
    days = (end - start).days
    amount = used(readings, start, end)
    lines = [Line(f"{kwh} kWh at {price}", rounded(kwh * price)) for kwh, price in cost_of(tariff, amount, days)]
    if tariff.base:
        lines.append(Line(f"{days} days at {tariff.base}", rounded(days * tariff.base)))
    net = sum((line.amount for line in lines), Decimal(0))
    return Bill(tuple(lines), rounded(net * tax_rate), paid)
