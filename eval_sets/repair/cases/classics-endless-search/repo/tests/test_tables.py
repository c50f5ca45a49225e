import unittest

from classics.tables import (
    change, edit_distance, knapsack, longest_common_subsequence, longest_increasing, max_slice, permutations,
)


class TablesTest(unittest.TestCase):
    def test_edit_distance(self):
        self.assertEqual(edit_distance("kitten", "sitting"), 3)
        self.assertEqual(edit_distance("", "abc"), 3)

    def test_common_subsequence(self):
        self.assertEqual(longest_common_subsequence("ABCBDAB", "BDCABA"), "BCBA")

    def test_knapsack(self):
        self.assertEqual(knapsack([(2, 3), (3, 4), (4, 5), (5, 6)], 5), 7)

    def test_each_item_is_taken_once(self):
        self.assertEqual(knapsack([(1, 10)], 3), 10)

    def test_change(self):
        self.assertEqual(change([1, 5, 10, 25], 30), 2)
        self.assertIsNone(change([5], 3))

    def test_change_is_not_greedy(self):
        self.assertEqual(change([1, 3, 4], 6), 2)

    def test_increasing(self):
        self.assertEqual(longest_increasing([3, 1, 4, 1, 5, 9, 2, 6]), 4)

    def test_slice(self):
        self.assertEqual(max_slice([1, -3, 4, -1, 2, -5]), (5, 2, 5))

    def test_negative_numbers_only(self):
        self.assertEqual(max_slice([-3, -1, -2]), (-1, 1, 2))

    def test_permutations(self):
        self.assertEqual(permutations([1, 2, 3]), [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]])
