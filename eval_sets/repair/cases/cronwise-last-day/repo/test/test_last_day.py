import datetime
import unittest

from cronwise import parse, upcoming


class LastDayTest(unittest.TestCase):
    def days(self, expression, count=4):
        return [moment.strftime('%d.%m.') for moment in upcoming(parse(expression), datetime.datetime(2024, 1, 5), count)]

    def test_last_day_of_the_month(self):
        self.assertEqual(self.days('0 18 L * *'), ['31.01.', '29.02.', '31.03.', '30.04.'])

    def test_together_with_other_days(self):
        self.assertEqual(self.days('0 18 15,L * *'), ['15.01.', '31.01.', '15.02.', '29.02.'])
