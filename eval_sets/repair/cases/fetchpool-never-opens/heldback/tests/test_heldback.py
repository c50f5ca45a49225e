import asyncio
import unittest

from fetchpool import Breaker, GaveUp, Pool, Transient, retry
from tests.support import Clock, Server


class HeldBackTest(unittest.IsolatedAsyncioTestCase):
    async def test_pauses_really_pass(self):
        clock = Clock()
        await retry(lambda: Server(failures=0).fetch("x"), sleep=clock.sleep)
        self.assertEqual(clock.now, 0.0)
        server = Server(failures=4)
        await retry(lambda: server.fetch("x"), tries=5, sleep=clock.sleep)
        self.assertEqual(clock.slept, [0.1, 0.2, 0.4, 0.8])

    async def test_exactly_as_many_tries_as_asked(self):
        for tries in (1, 2, 5):
            server = Server(failures=99)
            with self.assertRaises(GaveUp) as caught:
                await retry(lambda: server.fetch("x"), tries=tries, sleep=Clock().sleep)
            self.assertEqual((len(server.asked), caught.exception.tries), (tries, tries))

    async def test_unknown_errors_pass_at_once(self):
        for kind in (ValueError, RuntimeError, OSError):
            server = Server(failures=1, error=kind)
            with self.assertRaises(kind):
                await retry(lambda: server.fetch("x"), sleep=Clock().sleep)
            self.assertEqual(len(server.asked), 1)

    async def test_transient_and_timeouts_are_retried(self):
        for kind in (Transient, asyncio.TimeoutError):
            server = Server(failures=2, error=kind)
            self.assertEqual(await retry(lambda: server.fetch("x"), sleep=Clock().sleep), "X")

    async def test_failures_must_be_in_a_row(self):
        clock = Clock()
        breaker = Breaker(2, 10.0, clock)
        for _ in range(3):
            breaker.failed()
            breaker.succeeded()
        self.assertFalse(breaker.is_open)
        breaker.failed()
        self.assertFalse(breaker.is_open)
        breaker.failed()
        self.assertTrue(breaker.is_open)
        clock.now += 9.9
        self.assertTrue(breaker.is_open)
        clock.now += 0.2
        self.assertFalse(breaker.is_open)

    async def test_pool_uses_success_to_close(self):
        clock = Clock()
        breaker = Breaker(2, 10.0, clock)
        server = Server()
        pool = Pool(server.fetch, tries=1, breaker=breaker, sleep=clock.sleep)
        server.failures = 1
        await pool.get_all(["a"])
        await pool.get_all(["b"])
        server.failures = 1
        await pool.get_all(["c"])
        self.assertFalse(breaker.is_open)

    async def test_values_not_coroutines(self):
        pool = Pool(Server().fetch)
        self.assertEqual(await pool.refresh("q"), "Q")
        self.assertEqual([r.value for r in await pool.get_all(["q", "r"])], ["Q", "R"])
