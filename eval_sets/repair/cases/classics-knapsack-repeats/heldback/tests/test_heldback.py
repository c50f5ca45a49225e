import itertools
import random
import unittest

from classics.search import binary_search, count_between, first_at_least, integer_root, rotation_point
from classics.sorting import counting_sort, heap_sort, merge, merge_sort, quickselect
from classics.tables import change, edit_distance, knapsack, longest_increasing, max_slice, permutations


class HeldBackTest(unittest.TestCase):
    def test_search(self):
        for size in range(9):
            items = list(range(0, 2 * size, 2))
            for wanted in range(-1, 2 * size + 1):
                expected = items.index(wanted) if wanted in items else -1
                self.assertEqual(binary_search(items, wanted), expected)
                self.assertEqual(first_at_least(items, wanted), sum(item < wanted for item in items))

    def test_rotation(self):
        for size in range(1, 8):
            for turn in range(size):
                items = [(n - turn) % size for n in range(size)]
                self.assertEqual(rotation_point(items), items.index(0))

    def test_counts(self):
        items = [1, 1, 2, 5, 5, 5, 9]
        for low, high in itertools.combinations(range(11), 2):
            self.assertEqual(count_between(items, low, high), sum(low <= n <= high for n in items))

    def test_roots(self):
        for number in range(200):
            root = integer_root(number)
            self.assertTrue(root * root <= number < (root + 1) ** 2)

    def test_sorts(self):
        rng = random.Random(3)
        for size in range(20):
            items = [rng.randint(0, 9) for _ in range(size)]
            for sort in (merge_sort, heap_sort, lambda numbers: counting_sort(numbers, 9)):
                self.assertEqual(sort(items), sorted(items))
            for k in range(size):
                self.assertEqual(quickselect(items, k), sorted(items)[k])

    def test_merge_is_stable(self):
        self.assertEqual([type(n) for n in merge([1, 2.0], [1.0, 2])], [int, float, float, int])

    def test_knapsack(self):
        rng = random.Random(4)
        for _ in range(20):
            items = [(rng.randint(1, 6), rng.randint(1, 9)) for _ in range(6)]
            best = max(sum(v for _, v in chosen) for n in range(7) for chosen in itertools.combinations(items, n)
                       if sum(w for w, _ in chosen) <= 10)
            self.assertEqual(knapsack(items, 10), best)

    def test_exact_fit(self):
        self.assertEqual(knapsack([(3, 5)], 3), 5)
        self.assertEqual(knapsack([(3, 5)], 2), 0)

    def test_edit_distance(self):
        for one, other, distance in [("", "", 0), ("a", "", 1), ("abc", "abc", 0), ("abc", "acb", 2), ("flaw", "lawn", 2)]:
            self.assertEqual(edit_distance(one, other), distance)
            self.assertEqual(edit_distance(other, one), distance)

    def test_change(self):
        self.assertEqual([change([3, 5], n) for n in range(9)], [0, None, None, 1, None, 1, 2, None, 2])

    def test_increasing_is_strict(self):
        self.assertEqual(longest_increasing([2, 2, 2]), 1)
        self.assertEqual(longest_increasing([]), 0)
        self.assertEqual(longest_increasing([10, 1, 2, 11, 3, 4]), 4)

    def test_slices(self):
        rng = random.Random(9)
        for _ in range(40):
            numbers = [rng.randint(-5, 5) for _ in range(rng.randint(1, 8))]
            total, start, end = max_slice(numbers)
            self.assertEqual(total, sum(numbers[start:end]))
            self.assertEqual(total, max(sum(numbers[i:j]) for i in range(len(numbers)) for j in range(i + 1, len(numbers) + 1)))

    def test_permutations(self):
        self.assertEqual([tuple(p) for p in permutations([1, 2, 3, 4])], list(itertools.permutations([1, 2, 3, 4])))
