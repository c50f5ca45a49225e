import unittest

from pixelmap.grid import Grid
from pixelmap.ways import distance, visible


class WaysTest(unittest.TestCase):
    def setUp(self):
        self.grid = Grid(".#.\n.#.\n...")

    def test_distance(self):
        self.assertEqual(distance(self.grid, (0, 0), (0, 2)), 6)

    def test_no_way(self):
        self.assertIsNone(distance(Grid(".#."), (0, 0), (0, 2)))

    def test_no_step(self):
        self.assertEqual(distance(self.grid, (0, 0), (0, 0)), 0)

    def test_visible(self):
        self.assertEqual(visible(self.grid, (2, 0), (0, 1)), [(2, 1), (2, 2)])

    def test_wall(self):
        self.assertEqual(visible(self.grid, (0, 0), (0, 1)), [])
