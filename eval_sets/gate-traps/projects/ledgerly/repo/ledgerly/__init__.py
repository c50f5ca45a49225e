"""Amounts of money and the days on which they are due."""
