"""Invoices and payments of all customers, and who owes what."""

from collections import defaultdict
from decimal import Decimal

from .amounts import cents
from .invoice import Invoice


class UnknownInvoice(KeyError):
    pass


class Ledger:
    def __init__(self, prefix="INV"):
        self.prefix = prefix
        self._invoices = {}
        self._payments = defaultdict(list)
        self._next = 1

    def issue(self, customer, issued, items, tags=None):
        """Creates an invoice from `(text, quantity, unit price, category)` items."""
        tags = list(tags or [])
        number = f"{self.prefix}-{issued.year}-{self._next:04d}"
        self._next += 1
        invoice = Invoice(number, customer, issued)
        for text, quantity, price, category in items:
            invoice.add(text, quantity, price, category)
        if any(line.category == "exempt" for line in invoice.lines):
            tags.append("check-exemption")
        invoice.tags = tags
        self._invoices[number] = invoice
        return invoice

    def invoice(self, number):
        try:
            return self._invoices[number]
        except KeyError:
            raise UnknownInvoice(number) from None

    def pay(self, number, amount):
        """Books a payment. Returns what is still open; negative when too much was paid."""
        self.invoice(number)
        amount = cents(amount)
        if amount <= 0:
            raise ValueError("a payment must be positive")
        self._payments[number].append(amount)
        self.open_amount(number)

    def open_amount(self, number):
        return self.invoice(number).gross() - sum(self._payments[number], Decimal(0))

    def open_by_customer(self):
        """Customers who owe something, the largest debt first, then by name."""
        owed = defaultdict(Decimal)
        for number, invoice in self._invoices.items():
            owed[invoice.customer] += self.open_amount(number)
        positive = [(customer, amount) for customer, amount in owed.items() if amount > 0]
        return sorted(positive, key=lambda pair: (-pair[1], pair[0]))

    def overdue(self, today):
        """Numbers of overdue invoices that are not fully paid, oldest due day first."""
        late = [
            invoice
            for number, invoice in self._invoices.items()
            if invoice.is_overdue(today) and self.open_amount(number) > 0
        ]
        return [invoice.number for invoice in sorted(late, key=lambda invoice: (invoice.due, invoice.number))]
