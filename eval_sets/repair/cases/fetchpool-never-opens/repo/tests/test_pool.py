import asyncio
import unittest

from fetchpool import Breaker, CircuitOpen, GaveUp, Pool
from tests.support import Clock, Server


class PoolTest(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        self.clock = Clock()

    async def test_values_in_order(self):
        pool = Pool(Server().fetch)
        results = await pool.get_all(["b", "a", "c"])
        self.assertEqual([result.value for result in results], ["B", "A", "C"])

    async def test_size_is_kept(self):
        server = Server()
        await Pool(server.fetch, size=2).get_all("abcdefgh")
        self.assertEqual(server.most_at_once, 2)

    async def test_fetched_once(self):
        server = Server()
        pool = Pool(server.fetch)
        await asyncio.gather(pool.get("a"), pool.get("a"))
        await pool.get("a")
        self.assertEqual(server.asked, ["a"])

    async def test_refresh(self):
        server = Server()
        pool = Pool(server.fetch)
        await pool.get("a")
        self.assertEqual(await pool.refresh("a"), "A")
        self.assertEqual(server.asked, ["a", "a"])

    async def test_one_error_does_not_stop_the_rest(self):
        server = Server(failures=1, error=ValueError)
        results = await Pool(server.fetch, size=1).get_all(["a", "b"])
        self.assertEqual([result.ok for result in results], [False, True])

    async def test_a_failure_is_not_remembered(self):
        server = Server(failures=1, error=ValueError)
        pool = Pool(server.fetch)
        with self.assertRaises(ValueError):
            await pool.get("a")
        self.assertEqual(await pool.get("a"), "A")

    async def test_breaker_opens(self):
        breaker = Breaker(2, 30.0, self.clock)
        server = Server(failures=99)
        pool = Pool(server.fetch, tries=1, breaker=breaker, sleep=self.clock.sleep)
        for _ in range(2):
            with self.assertRaises(GaveUp):
                await pool.get("a")
        with self.assertRaises(CircuitOpen):
            await pool.get("a")
        self.assertEqual(len(server.asked), 2)

    async def test_breaker_lets_one_through_later(self):
        breaker = Breaker(1, 30.0, self.clock)
        server = Server(failures=1)
        pool = Pool(server.fetch, tries=1, breaker=breaker, sleep=self.clock.sleep)
        with self.assertRaises(GaveUp):
            await pool.get("a")
        self.clock.now += 30.0
        self.assertEqual(await pool.get("a"), "A")
        self.assertFalse(breaker.is_open)

    async def test_a_success_starts_the_count_again(self):
        breaker = Breaker(2, 30.0, self.clock)
        breaker.failed()
        breaker.succeeded()
        breaker.failed()
        self.assertFalse(breaker.is_open)
