import unittest

from cachette import memoize


class MemoTest(unittest.TestCase):
    def setUp(self):
        self.calls = []

        @memoize()
        def area(width, height=1, unit="m"):
            self.calls.append((width, height, unit))
            return "%s %s2" % (width * height, unit)

        self.area = area

    def test_called_once(self):
        self.assertEqual(self.area(2, 3), "6 m2")
        self.assertEqual(self.area(2, 3), "6 m2")
        self.assertEqual(len(self.calls), 1)

    def test_other_arguments(self):
        self.area(2, 3)
        self.assertEqual(self.area(3, 3), "9 m2")

    def test_named_arguments_in_any_order(self):
        self.area(2, height=3, unit="cm")
        self.area(2, unit="cm", height=3)
        self.assertEqual(len(self.calls), 1)

    def test_named_values_matter(self):
        self.assertEqual(self.area(2, unit="cm"), "2 cm2")
        self.assertEqual(self.area(2, unit="km"), "2 km2")

    def test_none_is_remembered(self):
        calls = []

        @memoize()
        def nothing():
            calls.append(1)

        nothing()
        nothing()
        self.assertEqual(len(calls), 1)

    def test_forget(self):
        self.area(2)
        self.assertTrue(self.area.forget(2))
        self.area(2)
        self.assertEqual(len(self.calls), 2)

    def test_typed(self):
        @memoize(typed=True)
        def show(value):
            return repr(value)

        self.assertEqual((show(1), show(1.0)), ("1", "1.0"))

    def test_name_is_kept(self):
        self.assertEqual(self.area.__name__, "area")
