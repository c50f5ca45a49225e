import unittest
from datetime import date

from ledgerly.dates import add_months, days_late, due_date, fiscal_year
from ledgerly.fees import is_overdue, late_fee


class DatesTest(unittest.TestCase):
    def test_add_months(self):
        self.assertEqual(add_months(date(2023, 11, 15), 3), date(2024, 2, 15))

    def test_add_months_in_a_short_month(self):
        self.assertEqual(add_months(date(2024, 1, 31), 1), date(2024, 2, 29))

    def test_due_date(self):
        self.assertEqual(due_date(date(2024, 1, 20)), date(2024, 2, 19))
        self.assertEqual(due_date(date(2024, 1, 20), end_of_month=True), date(2024, 2, 29))

    def test_fiscal_year(self):
        self.assertEqual(fiscal_year(date(2024, 3, 31)), 2023)
        self.assertEqual(fiscal_year(date(2024, 12, 1)), 2024)

    def test_fiscal_year_on_its_first_day(self):
        self.assertEqual(fiscal_year(date(2024, 4, 1)), 2024)


class FeesTest(unittest.TestCase):
    def test_in_time(self):
        self.assertEqual(late_fee(10_000, date(2024, 5, 10), date(2024, 5, 2)), 0)

    def test_late_fee_counts_days(self):
        self.assertEqual(late_fee(10_000, date(2024, 5, 10), date(2024, 5, 20)), 500)

    def test_at_most_the_amount(self):
        self.assertEqual(late_fee(300, date(2024, 5, 10), date(2024, 6, 20)), 300)

    def test_overdue(self):
        self.assertTrue(is_overdue(date(2024, 5, 10), date(2024, 5, 30)))
        self.assertFalse(is_overdue(date(2024, 5, 10), date(2024, 5, 1)))
