import unittest

from glossa.catalog import Catalog


class CatalogTest(unittest.TestCase):
    def setUp(self):
        self.catalog = Catalog({"en": {"hi": "Hello", "bye": "Bye"}, "pt": {"hi": "Ol\u00e1"}, "pt-BR": {"bye": "Tchau"}})

    def test_own_message(self):
        self.assertEqual(self.catalog.get("pt-BR", "bye"), "Tchau")

    def test_message_of_the_language(self):
        self.assertEqual(self.catalog.get("pt-BR", "hi"), "Ol\u00e1")

    def test_fallback(self):
        self.assertEqual(self.catalog.get("de", "hi"), "Hello")

    def test_unknown_key(self):
        self.assertEqual(self.catalog.get("de", "nope"), "nope")

    def test_chain(self):
        self.assertEqual(self.catalog.chain("pt-BR"), ["pt-BR", "pt", "en"])
        self.assertEqual(self.catalog.chain("en"), ["en"])

    def test_missing(self):
        self.assertEqual(self.catalog.missing("pt"), ["bye"])
