"""What a node does beside running calls: its lease, alarms and messages, subscriptions, hibernation, and what a team's
types need (canaries, tasks that objects ask for). Each duty is a loop that outlives any error of the database.
"""

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC

import psycopg

from objects import housekeeping
from objects.model import CALL_SECONDS, Call, Reply, Unavailable
from objects.node import ObjectNode
from objects.store import Due
from objects.subscriptions import Subscriptions

_logger = logging.getLogger("objects")

AT_ONCE = 32
"""Alarms and messages that a node has on the way at once."""
PAUSE_SECONDS = 1.0
"""Longest delay of an alarm that another node has set."""
LIFECYCLE_SECONDS = 2.0
HOUSEKEEPING_SECONDS = 300.0
_PLATFORM = frozenset({"unavailable", "retry", "moved", "busy", "internal", "deadline", "failed"})
"""How telling an object fails by the platform's fault: it does not count as a try."""


class Duties:
    def __init__(self, node: ObjectNode) -> None:
        self._node = node
        self._tasks: list[asyncio.Task[None]] = []
        self._subscriptions = Subscriptions(node.database)
        self._stopping = asyncio.Event()
        self._alarm_set = asyncio.Event()

    def start(self) -> None:
        loop = asyncio.get_running_loop()

        def alarm_set() -> None:
            loop.call_soon_threadsafe(self._alarm_set.set)

        self._node.steps.alarms_set = alarm_set
        self._tasks = [
            asyncio.create_task(self._lease()),
            asyncio.create_task(self._every(0.0, self._alarms)),
            asyncio.create_task(self._every(0.05, self._events)),
            asyncio.create_task(self._every(LIFECYCLE_SECONDS, self._lifecycle)),
            asyncio.create_task(self._every(HOUSEKEEPING_SECONDS, self._housekeeping)),
            asyncio.create_task(self._every(PAUSE_SECONDS, self._submissions)),
        ]

    async def stop(self) -> None:
        """Ends all duties, drains the node while its lease still lasts, and ends it."""
        self._stopping.set()
        lease, *others = self._tasks
        await _cancel(others)
        await self._node.stop()
        await _cancel([lease])
        self._subscriptions.close()

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

    # alarms and messages

    async def _alarms(self) -> None:
        node = self._node
        self._alarm_set.clear()
        found = await node.on_duty(node.store.due, AT_ONCE)
        if found:
            await asyncio.gather(*(self._tell(due) for due in found))
            return
        left = await node.on_duty(node.store.seconds_to_next)
        with suppress(TimeoutError):
            async with asyncio.timeout(min(PAUSE_SECONDS, PAUSE_SECONDS if left is None else max(left, 0.005))):
                await self._alarm_set.wait()

    async def _tell(self, due: Due) -> None:
        node = self._node
        when = due.due_at.astimezone(UTC).isoformat()
        call = Call(
            due.address,
            due.method,
            due.argument,
            f"{due.kind}/{due.name}/{when}",
            f"{due.kind} {due.name}" if due.kind == "alarm" else str((due.sender.get("chain") or ["?"])[-1]),
            time.time() + CALL_SECONDS,
            chain=tuple(due.sender.get("chain", ())),
            cause={"taken": {"name": due.name, "due": due.due_at.isoformat()}},
        )
        reply = await node.router.call(call)
        if reply.code in ("ok", "gone"):
            return
        if reply.code == "terminated":
            await node.on_duty(node.store.drop_alarm, due)
        elif reply.code != "refused":  # a refusal is an answer, and has been committed as one
            reason = str(json.loads(reply.body).get("error", reply.code))
            await node.on_duty(
                lambda: node.store.alarm_failed(due, f"{reply.code}: {reason}", counts=reply.code not in _PLATFORM)
            )

    # events

    async def _events(self) -> None:
        node = self._node
        batch = await node.on_duty(self._subscriptions.due)
        if not batch:
            await asyncio.sleep(PAUSE_SECONDS)
            return
        for one in batch:
            for event in one.events:
                reply: Reply = await node.router.call(
                    Call(
                        one.address,
                        one.method,
                        event.argument,
                        f"event/{one.topic}/{event.offset}",
                        one.topic,
                        time.time() + CALL_SECONDS,
                        cause={"event": {"topic": one.topic, "offset": event.offset}},
                    )
                )
                if reply.code in ("ok", "refused", "gone"):
                    continue
                counts = reply.code not in _PLATFORM
                reason = f"{reply.code}: {json.loads(reply.body).get('error', '')}"
                if not await node.on_duty(self._subscriptions.failed, one, event, reason, counts):
                    break  # the next events wait for this one
            else:
                await node.on_duty(self._subscriptions.advance, one)

    # types and objects

    async def _lifecycle(self) -> None:
        node = self._node
        await node.release_idle()
        await node.on_duty(housekeeping.end_terminated, node.database)
        moved: list[tuple[uuid.UUID, str]] = await node.on_duty(housekeeping.decide_canaries, node.database)
        for team, kind in moved:
            node.handlers.forget(team, kind)

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
