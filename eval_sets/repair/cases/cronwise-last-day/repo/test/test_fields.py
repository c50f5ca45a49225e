import unittest

from cronwise import fields


class FieldTest(unittest.TestCase):
    def test_star(self):
        self.assertEqual(fields.HOUR.parse('*'), set(range(24)))

    def test_single(self):
        self.assertEqual(fields.MINUTE.parse('7'), {7})

    def test_list(self):
        self.assertEqual(fields.MINUTE.parse('7,30'), {7, 30})

    def test_range(self):
        self.assertEqual(fields.WEEKDAY.parse('mon-fri'), {1, 2, 3, 4, 5})

    def test_step(self):
        self.assertEqual(fields.MINUTE.parse('*/20'), {0, 20, 40})

    def test_step_from(self):
        self.assertEqual(fields.HOUR.parse('9/5'), {9, 14, 19})

    def test_names(self):
        self.assertEqual(fields.MONTH.parse('jan,DEC'), {1, 12})

    def test_out_of_range(self):
        with self.assertRaisesRegex(fields.FieldError, 'between 0 and 23'):
            fields.HOUR.parse('24')

    def test_backwards(self):
        with self.assertRaisesRegex(fields.FieldError, 'backwards'):
            fields.HOUR.parse('5-3')

    def test_zero_step(self):
        with self.assertRaises(fields.FieldError):
            fields.HOUR.parse('*/0')


if __name__ == '__main__':
    unittest.main()
