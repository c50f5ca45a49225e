"""Wakes the long polls of this process when a team's threads change: one connection listens for all of them.

A notice is a hint only. Whoever waits reads again, and the end of each feed that somebody waits for is compared every
`POLL_SECONDS`, so that a lost notice delays an answer and loses nothing.
"""

import asyncio
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import psycopg
import structlog

from threads.store import Store

CHANNEL = "penstock_threads"
TASKS_CHANNEL = "penstock_thread_tasks"
POLL_SECONDS = 2.0

_logger = structlog.get_logger("threads")


@dataclass
class _Team:
    changes: int = 0
    waiting: int = 0
    end: int = -1
    event: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        self.changes += 1
        self.event.set()
        self.event = asyncio.Event()


class Hub:
    """Used by one event loop. `stopping` ends all waits; `heard` is told of tasks whose threads lack something."""

    def __init__(
        self, store: Store, stopping: Callable[[], bool], heard: Callable[[uuid.UUID, uuid.UUID], None]
    ) -> None:
        self._store = store
        self._stopping = stopping
        self._heard = heard
        self._teams: dict[uuid.UUID, _Team] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._unannounced: set[uuid.UUID] = set()
        self._announcing: asyncio.Task[None] | None = None

    def changes(self, team: uuid.UUID) -> int:
        """How many changes of the team were noticed so far: read it before you read what may have changed."""
        self._start()
        return self._team(team).changes

    async def wait(self, team: uuid.UUID, seen: int, seconds: float) -> bool:
        """Waits until there are more than `seen` changes. False after `seconds`, or when the process stops."""
        found = self._team(team)
        if found.changes > seen:
            return True
        found.waiting += 1
        try:
            async with asyncio.timeout(seconds):
                while found.changes == seen:
                    await found.event.wait()
            return not self._stopping()
        except TimeoutError:
            return False
        finally:
            found.waiting -= 1

    def announce(self, team: uuid.UUID) -> None:
        """Tells all processes that a team's threads have changed, with one notice for what changes meanwhile."""
        self._unannounced.add(team)
        if self._announcing is None or self._announcing.done() or self._of_another_loop(self._announcing):
            self._announcing = asyncio.create_task(self._announce())

    async def _announce(self) -> None:
        while self._unannounced:
            teams, self._unannounced = self._unannounced, set()
            with suppress(psycopg.Error):  # whoever waits looks for itself every `POLL_SECONDS`
                await self._store.call(
                    "SELECT count(threads_announce(team)) FROM unnest(%s::uuid[]) team", (list(teams),)
                )

    def wake(self, team: uuid.UUID) -> None:
        self._team(team).wake()

    async def close(self) -> None:
        tasks, self._tasks = self._tasks, []
        if self._announcing is not None:
            await self._announcing
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task

    @staticmethod
    def _of_another_loop(task: asyncio.Task[None]) -> bool:
        return task.get_loop() is not asyncio.get_running_loop()

    def _team(self, team: uuid.UUID) -> _Team:
        return self._teams.setdefault(team, _Team())

    def _start(self) -> None:
        if not self._tasks or self._of_another_loop(self._tasks[0]):
            self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._poll())]

    async def _listen(self) -> None:
        while True:
            try:
                connection = await self._store.connect()
                try:
                    await connection.execute(f"LISTEN {CHANNEL}".encode())
                    await connection.execute(f"LISTEN {TASKS_CHANNEL}".encode())
                    for team in list(self._teams):
                        self.wake(team)
                    async for notice in connection.notifies():
                        with suppress(ValueError):
                            if notice.channel == CHANNEL:
                                self.wake(uuid.UUID(notice.payload))
                            else:
                                text, _, task = notice.payload.partition(" ")
                                self._heard(uuid.UUID(text), uuid.UUID(task))
                finally:
                    await connection.close()
            except (psycopg.Error, OSError) as error:
                _logger.warning("notices of threads are not heard", error=type(error).__name__)
            await asyncio.sleep(1)

    async def _poll(self) -> None:
        passed = 0.0
        while True:
            await asyncio.sleep(0.5)
            passed += 0.5
            if self._stopping():
                for found in self._teams.values():
                    found.wake()
                continue
            if passed < POLL_SECONDS:
                continue
            passed = 0.0
            for team, found in list(self._teams.items()):
                if not found.waiting:
                    continue
                try:
                    row = await self._store.call("SELECT threads_end(%s)", (team,))
                except psycopg.Error:
                    continue
                if row[0] != found.end:
                    found.end = row[0]
                    self.wake(team)
