"""Exact amounts in one currency."""

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

_NUMBER = re.compile(r"-?\d{1,3}(,\d{3})+(\.\d+)?")


class MoneyError(ValueError):
    """A text that is not an amount, or amounts that do not go together."""


@dataclass(frozen=True)
class Money:
    amount: Decimal
    currency: str

    @classmethod
    def parse(cls, text):
        """An amount such as `12.50 EUR` or `1,234.50 EUR`."""
        number, _, currency = text.strip().partition(" ")
        if _NUMBER.fullmatch(number):
            number = number.replace(",", "")
        try:
            amount = Decimal(number)
        except InvalidOperation:
            raise MoneyError(f"not an amount: {text!r}") from None
        if not currency:
            raise MoneyError(f"no currency: {text!r}")
        return cls(amount, currency.strip().upper())

    def __add__(self, other):
        if self.currency != other.currency:
            raise MoneyError(f"{self.currency} and {other.currency} cannot be added")
        return Money(self.amount + other.amount, self.currency)

    def rounded(self):
        """To whole cents; halves go to the even one."""
        return Money(self.amount.quantize(Decimal("0.01"), ROUND_HALF_EVEN), self.currency)

    def split(self, count):
        """`count` shares that differ by a cent at most, the larger ones first. Together they are the amount."""
        cents = int(self.rounded().amount * 100)
        least, more = divmod(cents, count)
        shares = [least + 1] * more + [least] * (count - more)
        return [Money(Decimal(share) / 100, self.currency) for share in shares]
