"""Tells objects what is due: alarms, messages of other objects, and events that they subscribe to.

Many side by side, so that neither a slow object nor a team with many of them holds up the others.
"""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC

import psycopg

from objects.abreast import Abreast
from objects.model import CALL_SECONDS, Call, Reply, Unavailable
from objects.node import ObjectNode
from objects.store import Due
from objects.subscriptions import CLAIM_SECONDS, Batch, Subscriptions

_logger = logging.getLogger("objects")

AT_ONCE = 64
"""Alarms and messages that a node has on the way at once."""
OF_A_TEAM = 32
TAKEN_AT_ONCE = 16
BATCHES_AT_ONCE = 16
BATCHES_OF_A_TEAM = 8
PAUSE_SECONDS = 1.0
"""Longest delay of an alarm that another node has set, and of an event."""
_PLATFORM = frozenset({"unavailable", "retry", "moved", "busy", "internal", "deadline", "failed"})
"""How telling an object fails by the platform's fault: it does not count as a try."""


class Telling:
    """`alarms` and `events` are each called again and again, from one loop."""

    def __init__(self, node: ObjectNode) -> None:
        self._node = node
        self._subscriptions = Subscriptions(node.database)
        self._alarms = Abreast(AT_ONCE, OF_A_TEAM)
        self._batches = Abreast(BATCHES_AT_ONCE, BATCHES_OF_A_TEAM)
        self._alarm_due = asyncio.Event()
        self._batch_ended = asyncio.Event()
        loop = asyncio.get_running_loop()

        def alarm_set() -> None:
            loop.call_soon_threadsafe(self._alarm_due.set)

        node.steps.alarms_set = alarm_set

    async def end(self) -> None:
        """Gives up what is on the way: another node takes it up. A step that runs is not interrupted."""
        await self._alarms.cancel()
        await self._batches.cancel()
        self._subscriptions.close()

    async def alarms(self) -> None:
        """Begins to tell what is due, or waits until something is."""
        node, full = self._node, self._alarms.full()
        self._alarm_due.clear()
        found = await node.on_duty(node.store.due, min(self._alarms.free, TAKEN_AT_ONCE), full)
        for due in found:
            self._alarms.start(due.address.team, _guarded(self._tell(due), self._alarm_due.set))
        if not self._alarms.free:
            await self._alarms.one_ends()
        elif not found:
            left = await node.on_duty(node.store.seconds_to_next, full)
            await _set_within(self._alarm_due, PAUSE_SECONDS if left is None else max(left, 0.005))

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
            await node.on_duty(lambda: node.store.alarm_failed(due, _reason(reply), counts=reply.code not in _PLATFORM))

    async def events(self) -> None:
        """Begins to tell the next events of subscriptions, or waits a moment if there are none."""
        self._batch_ended.clear()
        found = await self._node.on_duty(self._subscriptions.due, self._batches.free, self._batches.full())
        for batch in found:
            self._batches.start(batch.address.team, _guarded(self._hear(batch), self._batch_ended.set))
        if not self._batches.free:
            await self._batches.one_ends()
        elif not found:
            await _set_within(self._batch_ended, PAUSE_SECONDS)

    async def _hear(self, batch: Batch) -> None:
        """Tells a subscriber its events, one after the other, for as long as the batch is certainly this node's."""
        node, until = self._node, time.monotonic() + CLAIM_SECONDS - CALL_SECONDS
        for event in batch.events:
            if time.monotonic() > until:
                await node.on_duty(self._subscriptions.give_back, batch)
                return
            reply = await node.router.call(
                Call(
                    batch.address,
                    batch.method,
                    event.argument,
                    f"event/{batch.topic}/{event.offset}",
                    batch.topic,
                    time.time() + CALL_SECONDS,
                    cause={"event": {"topic": batch.topic, "offset": event.offset}},
                )
            )
            if reply.code in ("ok", "refused", "gone"):
                continue
            counts = reply.code not in _PLATFORM
            if not await node.on_duty(self._subscriptions.failed, batch, event, _reason(reply), counts):
                return  # the next events wait for this one
        await node.on_duty(self._subscriptions.advance, batch)


def _reason(reply: Reply) -> str:
    return f"{reply.code}: {json.loads(reply.body).get('error', '')}"


async def _guarded(work: Awaitable[None], ended: Callable[[], None]) -> None:
    """What fails here was taken for a while only, and is told again after that."""
    try:
        await work
    except (Unavailable, psycopg.Error, ConnectionError) as error:
        _logger.warning("an object is told later: %s", type(error).__name__)
    except Exception:
        _logger.exception("telling an object failed by a bug")
    finally:
        ended()


async def _set_within(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(min(seconds, PAUSE_SECONDS)):
            await event.wait()
