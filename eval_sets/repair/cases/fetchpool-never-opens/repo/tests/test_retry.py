import unittest

from fetchpool import GaveUp, retry
from fetchpool.retry import pauses
from tests.support import Clock, Server


class RetryTest(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        self.clock = Clock()

    async def call(self, server, **options):
        return await retry(lambda: server.fetch("a"), sleep=self.clock.sleep, **options)

    async def test_first_try(self):
        self.assertEqual(await self.call(Server()), "A")
        self.assertEqual(self.clock.slept, [])

    async def test_pauses_grow(self):
        self.assertEqual(await self.call(Server(failures=3), tries=4), "A")
        self.assertEqual(self.clock.slept, [0.1, 0.2, 0.4])

    async def test_pause_is_limited(self):
        await self.call(Server(failures=2), tries=3, first_pause=4.0)
        self.assertEqual(self.clock.slept, [4.0, 5.0])

    async def test_gives_up(self):
        with self.assertRaisesRegex(GaveUp, "after 2 tries: busy"):
            await self.call(Server(failures=5), tries=2)

    async def test_other_errors_are_not_retried(self):
        server = Server(failures=1, error=KeyError)
        with self.assertRaises(KeyError):
            await self.call(server)
        self.assertEqual(len(server.asked), 1)

    async def test_timeouts_are_retried(self):
        import asyncio

        self.assertEqual(await self.call(Server(failures=1, error=asyncio.TimeoutError)), "A")

    def test_list_of_pauses(self):
        self.assertEqual(pauses(1, 2, 5), [1, 2, 4, 5])
