import unittest

from memodeck.cache import TTLCache, memoize


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class CacheTest(unittest.TestCase):
    def setUp(self):
        self.clock = Clock()
        self.cache = TTLCache(2, 10, self.clock)

    def test_get(self):
        self.cache.set("a", 1)
        self.assertEqual(self.cache.get("a"), 1)
        self.assertEqual(self.cache.get("b", 0), 0)
        self.assertEqual((self.cache.hits, self.cache.misses), (1, 1))

    def test_expires(self):
        self.cache.set("a", 1)
        self.clock.now = 10
        self.assertNotIn("a", self.cache)
        self.assertIsNone(self.cache.get("a"))

    def test_a_get_makes_a_key_recent(self):
        self.cache.set("a", 1)
        self.cache.set("b", 2)
        self.cache.get("a")
        self.cache.set("c", 3)
        self.assertIn("a", self.cache)
        self.assertNotIn("b", self.cache)

    def test_capacity(self):
        for key in "abc":
            self.cache.set(key, key)
        self.assertNotIn("a", self.cache)
        self.assertIn("b", self.cache)

    def test_length_is_that_of_living_entries(self):
        self.cache.set("a", 1)
        self.clock.now = 6
        self.cache.set("b", 2)
        self.clock.now = 12
        self.assertEqual(len(self.cache), 1)

    def test_pop(self):
        self.cache.set("a", 1)
        self.assertEqual(self.cache.pop("a"), 1)
        self.assertNotIn("a", self.cache)

    def test_pop_of_an_expired_key_gives_the_default(self):
        self.cache.set("a", 1)
        self.clock.now = 20
        self.assertEqual(self.cache.pop("a", "none"), "none")


class MemoizeTest(unittest.TestCase):
    def setUp(self):
        self.calls = []

        @memoize(TTLCache())
        def scaled(value, scale=1, shift=0):
            self.calls.append(value)
            return value * scale + shift

        self.scaled = scaled

    def test_called_once(self):
        self.assertEqual([self.scaled(3), self.scaled(3)], [3, 3])
        self.assertEqual(self.calls, [3])

    def test_keyword_arguments_count(self):
        self.assertEqual(self.scaled(1, scale=2), 2)
        self.assertEqual(self.scaled(1, scale=3), 3)
