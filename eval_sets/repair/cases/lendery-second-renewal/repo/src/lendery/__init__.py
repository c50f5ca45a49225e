"""Loans, renewals, holds and fines of a town library."""
