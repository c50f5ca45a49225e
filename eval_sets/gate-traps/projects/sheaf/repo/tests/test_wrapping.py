import unittest

from sheaf.wrapping import numbered, quoted, wrap


class WrapTest(unittest.TestCase):
    def test_lines(self):
        self.assertEqual(wrap("the quick brown fox", 10), ["the quick", "brown fox"])

    def test_indent_counts(self):
        self.assertEqual(wrap("aa bb cc", 6, "  "), ["  aa", "  bb", "  cc"])

    def test_long_word(self):
        self.assertEqual(wrap("a incomprehensible b", 5), ["a", "incomprehensible", "b"])

    def test_nothing(self):
        self.assertEqual(wrap("  "), [])

    def test_quoted(self):
        self.assertEqual(quoted(["a", "", "b"]), ["> a", ">", "> b"])

    def test_numbered(self):
        self.assertEqual(numbered(["x", "y"], 9), [" 9. x", "10. y"])
