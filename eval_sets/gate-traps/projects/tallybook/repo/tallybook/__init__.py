"""Receipts and vouchers of a small shop."""

__version__ = "1.4.0"
