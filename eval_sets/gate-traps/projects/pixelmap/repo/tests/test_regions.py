import unittest

from pixelmap.grid import Grid
from pixelmap.regions import fill, region, regions


class RegionTest(unittest.TestCase):
    def setUp(self):
        self.grid = Grid("xx.\n.x.\nx..")

    def test_region(self):
        self.assertEqual(region(self.grid, (0, 0)), {(0, 0), (0, 1), (1, 1)})

    def test_diagonal_is_not_connected(self):
        self.assertEqual(region(self.grid, (2, 0)), {(2, 0)})

    def test_regions(self):
        self.assertEqual(regions(self.grid, "x"), [3, 1])

    def test_fill(self):
        self.assertEqual(fill(self.grid, (0, 0), "o"), 3)
        self.assertEqual(str(self.grid), "oo.\n.o.\nx..")

    def test_fill_with_the_same_mark(self):
        self.assertEqual(fill(self.grid, (0, 0), "x"), 0)
