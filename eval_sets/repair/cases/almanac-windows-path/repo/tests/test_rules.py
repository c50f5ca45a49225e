import unittest
from datetime import date, datetime, timezone
from itertools import islice
from zoneinfo import ZoneInfo

from almanac import Rule, occurrences

BERLIN = ZoneInfo("Europe/Berlin")


class Recurring(unittest.TestCase):
    def test_daily(self):
        start = datetime(2024, 5, 1, 9, tzinfo=timezone.utc)
        days = [moment.day for moment in occurrences(start, Rule("daily", every=2, until=date(2024, 5, 7)))]
        self.assertEqual(days, [1, 3, 5, 7])

    def test_weekly_on_some_days(self):
        start = datetime(2024, 5, 1, 9, tzinfo=timezone.utc)
        rule = Rule("weekly", times=4, weekdays=(4, 0))
        self.assertEqual([moment.day for moment in occurrences(start, rule)], [3, 6, 10, 13])

    def test_every_month(self):
        start = datetime(2024, 1, 15, 9, tzinfo=timezone.utc)
        months = [moment.month for moment in islice(occurrences(start, Rule("monthly", every=5)), 4)]
        self.assertEqual(months, [1, 6, 11, 4])

    def test_the_last_day_of_a_month(self):
        start = datetime(2024, 1, 31, 9, tzinfo=timezone.utc)
        days = [moment.day for moment in islice(occurrences(start, Rule("monthly")), 4)]
        self.assertEqual(days, [31, 29, 31, 30])

    def test_summer_and_winter(self):
        start = datetime(2024, 3, 25, 9, 30, tzinfo=BERLIN)
        for moment in islice(occurrences(start, Rule("weekly")), 3):
            self.assertEqual((moment.hour, moment.minute), (9, 30))
            self.assertEqual(moment.tzinfo, BERLIN)
        last = list(islice(occurrences(start, Rule("daily")), 8))[-1]
        self.assertEqual(last.astimezone(timezone.utc).hour, 7)

    def test_what_is_refused(self):
        for wrong in ({"unit": "yearly"}, {"unit": "daily", "every": 0}):
            with self.assertRaises(ValueError):
                Rule(**wrong)
