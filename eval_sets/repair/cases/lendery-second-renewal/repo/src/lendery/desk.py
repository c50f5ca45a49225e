"""The lending desk: what happens when somebody brings a card and a pile of things."""

from __future__ import annotations

from collections import deque
from datetime import date, timedelta

from lendery.errors import NotAvailable, NotRenewable, TooManyLoans, TooMuchOwed
from lendery.model import Copy, Loan, Patron
from lendery.policy import BLOCK_AT, MAX_LOANS


class Desk:
    """Keeps loans by barcode and holds in the order in which they were placed."""

    def __init__(self) -> None:
        self._loans: dict[str, Loan] = {}
        self._holds: dict[str, deque[Patron]] = {}

    def loans_of(self, patron: Patron) -> list[Loan]:
        return [loan for loan in self._loans.values() if loan.patron.card == patron.card]

    def lend(self, copy: Copy, patron: Patron, today: date) -> Loan:
        """Lends a copy. Raises a `Refused` that says why not."""
        if patron.owed >= BLOCK_AT:
            raise TooMuchOwed(f"{patron.name} owes {patron.owed / 100:.2f}")
        if len(self.loans_of(patron)) >= MAX_LOANS:
            raise TooManyLoans(f"{patron.name} already has {MAX_LOANS} loans")
        if copy.barcode in self._loans:
            raise NotAvailable(f"{copy.title} is out")
        waiting = self._holds.get(copy.barcode)
        if waiting and waiting[0].card != patron.card:
            raise NotAvailable(f"{copy.title} is kept for somebody else")
        if waiting:
            waiting.popleft()
        loan = Loan(copy, patron, today)
        self._loans[copy.barcode] = loan
        return loan

    def give_back(self, barcode: str, today: date) -> int:
        """Takes a copy back and books its fine, which is returned in cents."""
        loan = self._loans.pop(barcode, None)
        if loan is None:
            raise NotAvailable(f"{barcode} is not on loan")
        fine = loan.fine(today)
        loan.patron.owed += fine
        return fine

    def renew(self, barcode: str, today: date) -> date:
        """Starts the loan's period again from today. Returns the new due day."""
        loan = self._loans.get(barcode)
        if loan is None:
            raise NotRenewable(f"{barcode} is not on loan")
        if loan.renewals > loan.terms.renewals:
            raise NotRenewable(f"{loan.copy.title} was renewed {loan.renewals} times already")
        if self._holds.get(barcode):
            raise NotRenewable(f"somebody waits for {loan.copy.title}")
        if loan.days_late(today):
            loan.patron.owed += loan.fine(today)
        loan.renewals += 1
        loan.due = today + timedelta(days=loan.terms.days)
        return loan.due

    def hold(self, barcode: str, patron: Patron) -> int:
        """Puts a patron into the queue of a copy. Returns the place in it, from 1."""
        queue = self._holds.setdefault(barcode, deque())
        for place, waiting in enumerate(queue, start=1):
            if waiting.card == patron.card:
                return place
        queue.append(patron)
        return len(queue)

    def pay(self, patron: Patron, cents: int) -> int:
        """Takes money against fines. Returns the change."""
        paid = min(cents, patron.owed)
        patron.owed -= paid
        return cents - paid

    def overdue(self, today: date) -> list[Loan]:
        """Loans that are late, the latest first."""
        late = [loan for loan in self._loans.values() if loan.days_late(today)]
        return sorted(late, key=lambda loan: (-loan.days_late(today), loan.copy.barcode))
