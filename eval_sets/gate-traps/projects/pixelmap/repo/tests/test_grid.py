import unittest

from pixelmap.grid import Grid


class GridTest(unittest.TestCase):
    def test_short_rows_are_filled(self):
        self.assertEqual(Grid("ab\nc").size, (2, 2))

    def test_outside(self):
        with self.assertRaises(IndexError):
            Grid("ab")[0, -1]

    def test_find(self):
        self.assertEqual(Grid("ab\nba").find("b"), [(0, 1), (1, 0)])

    def test_turned(self):
        self.assertEqual(str(Grid("ab\ncd").turned()), "ca\ndb")

    def test_text(self):
        self.assertEqual(str(Grid("a \n b")), "a\n b")
