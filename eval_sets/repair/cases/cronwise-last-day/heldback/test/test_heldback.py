import datetime
import unittest

from cronwise import fields, next_after, parse, upcoming


class HeldBackTest(unittest.TestCase):
    def test_ranges_include_both_ends(self):
        self.assertEqual(fields.MINUTE.parse('0-59'), set(range(60)))
        self.assertEqual(fields.HOUR.parse('3-3'), {3})
        self.assertEqual(fields.DAY.parse('1-31'), set(range(1, 32)))
        self.assertEqual(fields.MONTH.parse('*'), set(range(1, 13)))

    def test_steps_reach_the_end(self):
        self.assertEqual(fields.MINUTE.parse('*/59'), {0, 59})
        self.assertEqual(fields.MINUTE.parse('10-20/5'), {10, 15, 20})
        self.assertEqual(fields.MINUTE.parse('5/27'), {5, 32, 59})
        self.assertEqual(fields.MINUTE.parse('59'), {59})

    def test_star_day_and_weekday_restrict_alone(self):
        start = datetime.datetime(2024, 3, 9)
        self.assertEqual(next_after(parse('0 0 * * fri'), start), datetime.datetime(2024, 3, 15))
        self.assertEqual(next_after(parse('0 0 13 * *'), start), datetime.datetime(2024, 3, 13))
        self.assertEqual(next_after(parse('0 0 * * *'), start), datetime.datetime(2024, 3, 10))

    def test_either_day(self):
        start = datetime.datetime(2024, 9, 1)
        self.assertEqual(
            upcoming(parse('30 8 1,15 * mon'), start, 4),
            [datetime.datetime(2024, 9, day, 8, 30) for day in (1, 2, 9, 15)])

    def test_last_day(self):
        start = datetime.datetime(2023, 2, 1)
        self.assertEqual(next_after(parse('5 4 l 2 *'), start), datetime.datetime(2023, 2, 28, 4, 5))
        self.assertEqual(next_after(parse('5 4 1,L * *'), start), datetime.datetime(2023, 2, 1, 4, 5))
        self.assertEqual(next_after(parse('0 0 L * fri'), datetime.datetime(2023, 6, 25)), datetime.datetime(2023, 6, 30))
        self.assertEqual(next_after(parse('0 0 L * mon'), datetime.datetime(2023, 6, 27)), datetime.datetime(2023, 6, 30))

    def test_month_always_restricts(self):
        self.assertEqual(
            next_after(parse('0 0 1 6 mon'), datetime.datetime(2024, 3, 1)), datetime.datetime(2024, 6, 1))


if __name__ == '__main__':
    unittest.main()
