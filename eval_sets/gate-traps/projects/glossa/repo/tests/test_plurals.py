import unittest

from glossa.plurals import chosen, form


class PluralTest(unittest.TestCase):
    def test_english(self):
        self.assertEqual([form("en", n) for n in (0, 1, 2)], ["many", "one", "many"])

    def test_french(self):
        self.assertEqual(form("fr", 0), "one")

    def test_polish(self):
        self.assertEqual([form("pl", n) for n in (1, 3, 5)], ["one", "few", "many"])

    def test_polish_teens(self):
        self.assertEqual(form("pl", 12), "many")

    def test_chosen(self):
        self.assertEqual(chosen("pl", 3, {"one": "plik", "many": "plik\u00f3w"}), "plik\u00f3w")
