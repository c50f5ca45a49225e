"""An invoice and its lines."""

from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal

from .amounts import cents
from .tax import tax_on


@dataclass(frozen=True)
class Line:
    text: str
    quantity: Decimal
    unit_price: Decimal
    category: str = "standard"

    @property
    def net(self):
        return cents(self.quantity * self.unit_price)


@dataclass
class Invoice:
    number: str
    customer: str
    issued: date
    lines: list = field(default_factory=list)
    terms_days: int = 30

    def add(self, text, quantity, unit_price, category="standard"):
        line = Line(text, Decimal(quantity), Decimal(unit_price), category)
        self.lines.append(line)
        return line

    @property
    def due(self):
        return self.issued + timedelta(days=self.terms_days)

    def net(self):
        return sum((line.net for line in self.lines), Decimal(0))

    def tax_by_category(self):
        """Tax is computed on each category's sum, not line by line, as the tax office wants it."""
        nets = {}
        for line in self.lines:
            nets[line.category] = nets.get(line.category, Decimal(0)) + line.net
        return {category: tax_on(net, category) for category, net in nets.items()}

    def tax(self):
        return sum(self.tax_by_category().values(), Decimal(0))

    def gross(self):
        return self.net() + self.tax()

    def is_overdue(self, today):
        """The due day itself is still in time."""
        return today > self.due
