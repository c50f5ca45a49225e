import unittest

from cachette import LruCache, TtlCache, memoize


class HeldBackTest(unittest.TestCase):
    def test_keys_of_calls(self):
        seen = []

        @memoize()
        def f(*args, **kwargs):
            seen.append((args, kwargs))
            return len(seen)

        calls = [((1,), {}), ((1,), {"a": 1}), ((1,), {"a": 2}), ((1,), {"b": 1}), ((1, "a", 1), {}), ((), {"a": 1, "b": 2}),
                 ((), {"a": 2, "b": 1})]
        numbers = [f(*args, **kwargs) for args, kwargs in calls]
        self.assertEqual(numbers, list(range(1, len(calls) + 1)))
        self.assertEqual([f(*args, **kwargs) for args, kwargs in calls], numbers)

    def test_typed_keywords(self):
        @memoize(typed=True)
        def f(a=0):
            return repr(a)

        self.assertEqual([f(a=1), f(a=1.0), f(a=True)], ["1", "1.0", "True"])

    def test_eviction_follows_reads(self):
        cache = LruCache(3)
        for key in "abc":
            cache.put(key, key)
        cache.get("a")
        cache.get("b")
        cache.put("d", "d")
        self.assertEqual(cache.keys(), ["a", "b", "d"])
        cache.get("missing")
        cache.put("e", "e")
        self.assertEqual(cache.keys(), ["b", "d", "e"])

    def test_writes_count_as_use(self):
        cache = LruCache(2)
        cache.put("a", 1)
        cache.put("b", 2)
        cache.put("a", 3)
        cache.put("c", 4)
        self.assertEqual(cache.keys(), ["a", "c"])

    def test_used_is_always_the_sum(self):
        cache = LruCache(12, cost=len)
        for number in range(30):
            cache.put(number % 5, "x" * (number * 7 % 11))
            self.assertEqual(cache.used, sum(len(cache._entries[key][0]) for key in cache.keys()))
            self.assertLessEqual(cache.used, 12)
        cache.discard(0)
        cache.discard(0)
        self.assertEqual(cache.used, sum(len(cache._entries[key][0]) for key in cache.keys()))

    def test_sliding_only_where_asked(self):
        now = [0.0]
        cache = TtlCache(10, clock=lambda: now[0])
        cache.put("a", 1)
        now[0] = 9.0
        self.assertEqual(cache.get("a"), 1)
        now[0] = 11.0
        self.assertIsNone(cache.get("a"))

    def test_zero_ttl(self):
        now = [5.0]
        cache = TtlCache(10, clock=lambda: now[0])
        cache.put("a", 1, ttl=0)
        self.assertEqual(cache.remaining("a"), 0)
        self.assertIsNone(cache.get("a"))
        cache.put("b", 1)
        self.assertEqual(cache.remaining("b"), 10)
