import unittest

from classics.sorting import counting_sort, heap_sort, merge, merge_sort, quickselect

NUMBERS = [5, 3, 9, 1, 5, 0, 7]


class SortingTest(unittest.TestCase):
    def test_merge(self):
        self.assertEqual(merge([1, 4], [2, 3, 9]), [1, 2, 3, 4, 9])

    def test_merge_with_empty(self):
        self.assertEqual((merge([], [1]), merge([2], [])), ([1], [2]))

    def test_merge_sort(self):
        self.assertEqual(merge_sort(NUMBERS), sorted(NUMBERS))

    def test_heap_sort(self):
        self.assertEqual(heap_sort(NUMBERS), sorted(NUMBERS))
        self.assertEqual(heap_sort([]), [])

    def test_counting_sort(self):
        self.assertEqual(counting_sort(NUMBERS, 9), sorted(NUMBERS))

    def test_quickselect(self):
        self.assertEqual([quickselect(NUMBERS, k) for k in range(7)], sorted(NUMBERS))

    def test_quickselect_outside(self):
        with self.assertRaises(IndexError):
            quickselect(NUMBERS, 7)
