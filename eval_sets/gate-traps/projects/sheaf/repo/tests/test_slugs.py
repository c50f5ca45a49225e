import unittest

from sheaf.slugs import slug, unique


class SlugTest(unittest.TestCase):
    def test_words(self):
        self.assertEqual(slug("Baking Bread, again!"), "baking-bread-again")

    def test_accents(self):
        self.assertEqual(slug("Caf\u00e9 cr\u00e8me"), "cafe-creme")

    def test_cut_between_words(self):
        self.assertEqual(slug("one two three", limit=9), "one-two")

    def test_nothing_left(self):
        self.assertEqual(slug("!?"), "note")

    def test_unique(self):
        self.assertEqual(unique("bread", {"bread", "bread-2"}), "bread-3")

    def test_free_name(self):
        self.assertEqual(unique("bread", {"tea"}), "bread")
