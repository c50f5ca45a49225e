import unittest

from glossa.filling import fill, grouped, joined, places


class FillingTest(unittest.TestCase):
    def test_fill(self):
        self.assertEqual(fill("{n} files in {folder}", n=3, folder="tmp"), "3 files in tmp")

    def test_unknown_place(self):
        self.assertEqual(fill("Hi {name}"), "Hi {name}")

    def test_places(self):
        self.assertEqual(places("{a} {b} {a}"), ["a", "b"])

    def test_joined(self):
        self.assertEqual(joined(["a", "b", "c"]), "a, b and c")

    def test_joined_one(self):
        self.assertEqual(joined(["a"]), "a")

    def test_grouped(self):
        self.assertEqual(grouped(1234567), "1 234 567")
