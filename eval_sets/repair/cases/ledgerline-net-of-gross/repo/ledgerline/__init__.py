"""Invoices for small shops: lines, tax, numbering and open balances."""

from .invoice import Invoice, Line
from .ledger import Ledger

__all__ = ["Invoice", "Ledger", "Line"]
