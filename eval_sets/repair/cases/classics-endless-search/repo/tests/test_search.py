import unittest

from classics.search import binary_search, count_between, first_at_least, integer_root, rotation_point


class SearchTest(unittest.TestCase):
    def test_found(self):
        self.assertEqual([binary_search([1, 3, 5, 7], n) for n in (1, 3, 5, 7)], [0, 1, 2, 3])

    def test_not_found(self):
        self.assertEqual([binary_search([1, 3, 5, 7], n) for n in (0, 4, 9)], [-1, -1, -1])

    def test_empty(self):
        self.assertEqual(binary_search([], 1), -1)

    def test_key(self):
        self.assertEqual(binary_search(["a", "bb", "cccc"], 4, key=len), 2)

    def test_first_at_least(self):
        self.assertEqual([first_at_least([1, 3, 3, 7], n) for n in (0, 3, 4, 8)], [0, 1, 3, 4])

    def test_count_between(self):
        self.assertEqual(count_between([1, 3, 3, 7], 2, 7), 3)

    def test_rotation(self):
        self.assertEqual([rotation_point(items) for items in ([4, 5, 1, 2], [1, 2, 3], [2, 1])], [2, 0, 1])

    def test_root(self):
        self.assertEqual([integer_root(n) for n in (0, 1, 3, 4, 99)], [0, 1, 1, 2, 9])
