import datetime
import unittest

from cronwise import next_after, parse, upcoming


def at(text):
    return datetime.datetime.strptime(text, '%Y-%m-%d %H:%M')


class ScheduleTest(unittest.TestCase):
    def check(self, expression, start, expected):
        self.assertEqual(next_after(parse(expression), at(start)), at(expected))

    def test_every_quarter(self):
        self.check('*/15 * * * *', '2024-03-01 10:07', '2024-03-01 10:15')

    def test_strictly_after(self):
        self.check('15 * * * *', '2024-03-01 10:15', '2024-03-01 11:15')

    def test_next_day(self):
        self.check('0 6 * * *', '2024-03-01 10:00', '2024-03-02 06:00')

    def test_working_days(self):
        self.check('0 9 * * mon-fri', '2024-03-01 12:00', '2024-03-04 09:00')

    def test_sunday_is_seven_too(self):
        self.check('0 9 * * 7', '2024-03-01 12:00', '2024-03-03 09:00')

    def test_leap_day(self):
        self.check('0 0 29 2 *', '2024-03-01 00:00', '2028-02-29 00:00')

    def test_day_of_month_or_weekday(self):
        # the 13th, and every Friday
        self.assertEqual(
            upcoming(parse('0 0 13 * fri'), at('2024-03-09 00:00'), 3),
            [at('2024-03-13 00:00'), at('2024-03-15 00:00'), at('2024-03-22 00:00')])

    def test_shortcut(self):
        self.check('@monthly', '2024-03-05 00:00', '2024-04-01 00:00')

    def test_never(self):
        self.assertIsNone(next_after(parse('0 0 31 2 *'), at('2024-01-01 00:00')))

    def test_five_fields(self):
        with self.assertRaisesRegex(ValueError, 'got 4'):
            parse('* * * *')


if __name__ == '__main__':
    unittest.main()
