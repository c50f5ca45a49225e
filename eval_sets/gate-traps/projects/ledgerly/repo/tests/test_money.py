import unittest
from decimal import Decimal

from ledgerly.money import Money, MoneyError


class MoneyTest(unittest.TestCase):
    def test_parse(self):
        self.assertEqual(Money.parse("12.50 eur"), Money(Decimal("12.50"), "EUR"))

    def test_parse_thousands(self):
        self.assertEqual(Money.parse("1,234.50 EUR"), Money(Decimal("1234.50"), "EUR"))

    def test_parse_without_currency(self):
        with self.assertRaises(MoneyError):
            Money.parse("12.50")

    def test_add(self):
        self.assertEqual(Money(Decimal(1), "EUR") + Money(Decimal(2), "EUR"), Money(Decimal(3), "EUR"))

    def test_add_other_currency(self):
        with self.assertRaises(MoneyError):
            Money(Decimal(1), "EUR") + Money(Decimal(1), "USD")

    def test_rounded(self):
        self.assertEqual(Money(Decimal("0.125"), "EUR").rounded().amount, Decimal("0.12"))

    def test_split_evenly(self):
        self.assertEqual([share.amount for share in Money(Decimal(9), "EUR").split(3)], [3, 3, 3])

    def test_split_adds_up(self):
        shares = Money(Decimal("10.00"), "EUR").split(3)
        self.assertEqual([str(share.amount) for share in shares], ["3.34", "3.33", "3.33"])
