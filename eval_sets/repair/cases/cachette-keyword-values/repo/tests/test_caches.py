import unittest

from cachette import LruCache, TtlCache


class LruCacheTest(unittest.TestCase):
    def test_oldest_goes_first(self):
        cache = LruCache(2)
        for key in "abc":
            cache.put(key, key.upper())
        self.assertEqual(cache.keys(), ["b", "c"])
        self.assertEqual(cache.stats.evictions, 1)

    def test_use_keeps_an_entry(self):
        cache = LruCache(2)
        cache.put("a", 1)
        cache.put("b", 2)
        cache.get("a")
        cache.put("c", 3)
        self.assertEqual(cache.keys(), ["a", "c"])

    def test_default(self):
        self.assertEqual(LruCache(1).get("x", 7), 7)

    def test_costs(self):
        cache = LruCache(10, cost=len)
        cache.put("a", "1234")
        cache.put("b", "123456")
        self.assertEqual(cache.used, 10)
        cache.put("c", "1")
        self.assertEqual((cache.keys(), cache.used), (["b", "c"], 7))

    def test_replacing_frees_the_old_value(self):
        cache = LruCache(10, cost=len)
        cache.put("a", "12345678")
        cache.put("a", "123")
        self.assertEqual(cache.used, 3)

    def test_too_large(self):
        cache = LruCache(3, cost=len)
        cache.put("a", "1234")
        self.assertEqual(len(cache), 0)

    def test_ratio(self):
        cache = LruCache(3)
        self.assertEqual(cache.stats.ratio, 0.0)
        cache.put("a", 1)
        for key in "aaab":
            cache.get(key)
        self.assertEqual(cache.stats.ratio, 0.75)

    def test_clear(self):
        cache = LruCache(5)
        cache.put("a", 1)
        cache.clear()
        self.assertEqual((len(cache), cache.used), (0, 0))


class TtlCacheTest(unittest.TestCase):
    def setUp(self):
        self.now = 1000.0
        self.cache = TtlCache(30, clock=lambda: self.now)

    def test_lives_for_its_time(self):
        self.cache.put("a", 1)
        self.now += 29
        self.assertEqual(self.cache.get("a"), 1)
        self.now += 1
        self.assertIsNone(self.cache.get("a"))

    def test_own_time(self):
        self.cache.put("a", 1, ttl=5)
        self.assertEqual(self.cache.remaining("a"), 5)
        self.now += 5
        self.assertIsNone(self.cache.get("a"))

    def test_not_at_all(self):
        self.cache.put("a", 1, ttl=0)
        self.assertIsNone(self.cache.get("a"))

    def test_sliding(self):
        cache = TtlCache(30, clock=lambda: self.now, sliding=True)
        cache.put("a", 1)
        for _ in range(3):
            self.now += 20
            self.assertEqual(cache.get("a"), 1)

    def test_purge(self):
        self.cache.put("a", 1)
        self.cache.put("b", 1, ttl=90)
        self.now += 60
        self.assertEqual(self.cache.purge(), 1)
        self.assertEqual(len(self.cache), 1)
