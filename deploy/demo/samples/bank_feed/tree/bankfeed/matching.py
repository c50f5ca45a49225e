"""Which booking pays which invoice."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from bankfeed.model import Entry

_NUMBER = re.compile(r"\b(?:INV|RE)[- ]?(\d{4,})\b", re.IGNORECASE)


@dataclass(frozen=True)
class Invoice:
    number: str
    amount: Decimal
    customer: str


@dataclass(frozen=True)
class Match:
    entry: Entry
    invoice: Invoice
    reason: str


def match(entries: tuple[Entry, ...], invoices: list[Invoice]) -> list[Match]:
    """Matches by invoice number first, then by amount and customer; each invoice once."""
    unpaid = {invoice.number: invoice for invoice in invoices}
    found = []
    for entry in entries:
        if entry.amount <= 0:
            continue
        invoice, reason = _by_number(entry, unpaid) or _by_customer(entry, unpaid) or (None, "")
        if invoice is not None:
            del unpaid[invoice.number]
            found.append(Match(entry, invoice, reason))
    return found


def _by_number(entry: Entry, unpaid: dict[str, Invoice]) -> tuple[Invoice, str] | None:
    for number in _NUMBER.findall(f"{entry.text} {entry.reference}"):
        invoice = unpaid.get(number)
        if invoice is not None and invoice.amount == entry.amount:
            return invoice, "number"
    return None


def _by_customer(entry: Entry, unpaid: dict[str, Invoice]) -> tuple[Invoice, str] | None:
    candidates = [
        invoice
        for invoice in unpaid.values()
        if invoice.amount == entry.amount and invoice.customer.lower() == entry.counterparty.lower()
    ]
    return (candidates[0], "customer") if len(candidates) == 1 else None
