"""Statements and their entries, whatever format they came in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal


@dataclass(frozen=True)
class Entry:
    """One booking. Credits are positive, debits negative."""

    booked: date
    amount: Decimal
    text: str
    counterparty: str = ""
    reference: str = ""


@dataclass(frozen=True)
class Statement:
    account: str
    currency: str
    entries: tuple[Entry, ...]
    opening: Decimal | None = None
    closing: Decimal | None = None

    @property
    def turnover(self) -> Decimal:
        return sum((entry.amount for entry in self.entries), Decimal(0))

    @property
    def balances(self) -> bool:
        """Whether the entries lead from the opening to the closing balance, where both are known."""
        if self.opening is None or self.closing is None:
            return True
        return self.opening + self.turnover == self.closing
