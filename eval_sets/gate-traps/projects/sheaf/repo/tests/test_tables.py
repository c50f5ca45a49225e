import unittest

from sheaf.tables import table, transposed, widths


class TableTest(unittest.TestCase):
    def test_widths(self):
        self.assertEqual(widths([("a", "bbb"), ("cc",)]), [2, 3])

    def test_numbers_on_the_right(self):
        self.assertEqual(table([("tea", 5), ("milk", 12)]), "tea    5\nmilk  12")

    def test_head(self):
        self.assertEqual(table([("tea", 5)], ("what", "cost")), "what  cost\n----  ----\ntea      5")

    def test_empty(self):
        self.assertEqual(table([]), "")

    def test_transposed(self):
        self.assertEqual(transposed([[1, 2], [3]], 0), [[1, 3], [2, 0]])
