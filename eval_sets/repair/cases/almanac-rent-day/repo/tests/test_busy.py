import unittest

from almanac import free_slots, merged


class Busy(unittest.TestCase):
    def test_merging(self):
        self.assertEqual(merged([(5, 7), (1, 2), (2, 3), (6, 6), (6, 9)]), [(1, 3), (5, 9)])

    def test_one_inside_another(self):
        self.assertEqual(merged([(1, 10), (2, 3), (4, 5)]), [(1, 10)])

    def test_gaps(self):
        self.assertEqual(free_slots([(9, 10), (12, 13)], 8, 16, 1), [(8, 9), (10, 12), (13, 16)])
        self.assertEqual(free_slots([(9, 10), (12, 13)], 8, 16, 2), [(10, 12), (13, 16)])
        self.assertEqual(free_slots([], 8, 9, 2), [])
