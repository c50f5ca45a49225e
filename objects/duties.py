"""What a node does beside running calls: its lease, what is due (`objects.telling`), hibernation, and what a team's
types need. Each duty is a loop that outlives any error of the database.
"""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress

import psycopg

from objects import canary, housekeeping
from objects.model import Unavailable
from objects.node import ObjectNode
from objects.telling import Telling

_logger = logging.getLogger("objects")

PAUSE_SECONDS = 1.0
LIFECYCLE_SECONDS = 2.0
HOUSEKEEPING_SECONDS = 300.0


class Duties:
    def __init__(self, node: ObjectNode) -> None:
        self._node = node
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()
        self._canaries = canary.Watch()

    def start(self) -> None:
        self._telling = Telling(self._node)
        self._tasks = [
            asyncio.create_task(self._lease()),
            asyncio.create_task(self._every(0.0, self._telling.alarms)),
            asyncio.create_task(self._every(0.05, self._telling.events)),
            asyncio.create_task(self._every(LIFECYCLE_SECONDS, self._lifecycle)),
            asyncio.create_task(self._every(LIFECYCLE_SECONDS, self._retries)),
            asyncio.create_task(self._every(HOUSEKEEPING_SECONDS, self._housekeeping)),
            asyncio.create_task(self._every(PAUSE_SECONDS, self._submissions)),
        ]

    async def stop(self) -> None:
        """Ends all duties, drains the node while its lease still lasts, and ends it."""
        self._stopping.set()
        lease, *others = self._tasks
        await _cancel(others)
        await self._telling.end()
        await self._node.stop()
        await _cancel([lease])

    async def _every(self, seconds: float, duty: Callable[[], Awaitable[None]]) -> None:
        while not self._stopping.is_set():
            try:
                await duty()
                await asyncio.sleep(seconds)
            except (Unavailable, psycopg.Error, ConnectionError) as error:
                _logger.warning("a duty of the node waits: %s, %s", duty.__name__, type(error).__name__)
                await asyncio.sleep(PAUSE_SECONDS)
            except Exception:
                _logger.exception("a duty of the node failed by a bug: %s", duty.__name__)
                await asyncio.sleep(5 * PAUSE_SECONDS)

    async def _lease(self) -> None:
        while True:
            await asyncio.sleep(self._node.settings.lease / 3)
            try:
                await self._node.renew()
            except Unavailable as error:
                _logger.warning("the node's lease is not renewed: %s", error)

    # types and objects

    async def _lifecycle(self) -> None:
        node = self._node
        await node.release_idle()
        await node.on_duty(housekeeping.end_terminated, node.database)
        moved: list[tuple[uuid.UUID, str]] = await node.on_duty(self._canaries.move, node.database)
        for team, kind in moved:
            node.handlers.forget(team, kind)

    async def _retries(self) -> None:
        await self._node.retry_failed()

    async def _submissions(self) -> None:
        node = self._node
        if node.custom is None:
            return
        checked = await node.on_duty(node.custom.check_next, node.database)
        if checked is not None:
            node.handlers.forget(*checked)
        node.custom.tidy()

    async def _housekeeping(self) -> None:
        node = self._node
        await node.on_duty(housekeeping.forget_old, node.database)
        await node.on_duty(node.store.forget_dead_nodes)


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task
