"""Patrons, copies and loans."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta

from lendery.policy import MAX_FINE, POLICY, Kind, Terms


@dataclass(frozen=True)
class Copy:
    barcode: str
    title: str
    kind: Kind = Kind.BOOK


@dataclass
class Patron:
    card: str
    name: str
    owed: int = 0
    """Unpaid fines in cents."""


@dataclass
class Loan:
    copy: Copy
    patron: Patron
    since: date
    due: date = field(init=False)
    renewals: int = 0

    def __post_init__(self) -> None:
        self.due = self.since + timedelta(days=self.terms.days)

    @property
    def terms(self) -> Terms:
        return POLICY[self.copy.kind]

    def days_late(self, today: date) -> int:
        return max((today - self.due).days, 0)

    def fine(self, today: date) -> int:
        return min(self.days_late(today) * self.terms.fine_per_day, MAX_FINE)
