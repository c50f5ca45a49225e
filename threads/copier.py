"""Keeps the threads of tasks up to date, in the background of a process that serves them."""

import asyncio
import uuid
from collections.abc import Callable
from contextlib import suppress

import structlog

from core.database import Database
from threads.tasks import copy_trajectory, deliver_remarks

SWEEP_SECONDS = 30.0
"""How often it is looked for what a lost notice, or a process that ended, has left behind."""

_LEFT = """
SELECT team_id, task_id FROM thread_remarks
UNION SELECT m.team_id, m.task_id FROM thread_mirrors m JOIN tasks t ON t.id = m.task_id
WHERE t.updated_at > now() - interval '1 hour' OR t.state = 'running' LIMIT 1000
"""

_logger = structlog.get_logger("threads")


class Copier:
    """Used by one event loop. What it is asked for is done one after the other, in another thread."""

    def __init__(self, database: Database, stopping: Callable[[], bool]) -> None:
        self._database = database
        self._stopping = stopping
        self._due: dict[tuple[uuid.UUID, uuid.UUID], None] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def ask(self, team: uuid.UUID, task: uuid.UUID) -> None:
        self._due[team, task] = None
        self._wake.set()
        self.start()

    def start(self) -> None:
        if self._task is None or self._task.done() or self._task.get_loop() is not asyncio.get_running_loop():
            self._wake = asyncio.Event()
            self._wake.set()
            self._task = asyncio.create_task(self._work())

    async def close(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        swept = -SWEEP_SECONDS
        while not self._stopping():
            if loop.time() - swept >= SWEEP_SECONDS:
                swept = loop.time()
                await self._attempt(self._sweep)
            while self._due:
                team, task = next(iter(self._due))
                del self._due[team, task]
                await self._attempt(lambda team=team, task=task: self._bring(team, task))  # type: ignore[misc]
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(SWEEP_SECONDS):
                    await self._wake.wait()

    async def _attempt(self, act: Callable[[], None]) -> None:
        try:
            await asyncio.to_thread(act)
        except Exception as error:  # whatever one task holds, the threads of the others go on
            _logger.warning("a task's thread was not brought up to date", error=type(error).__name__)

    def _sweep(self) -> None:
        with self._database.system() as connection:
            for team, task in connection.execute(_LEFT).fetchall():
                self._due[team, task] = None

    def _bring(self, team: uuid.UUID, task: uuid.UUID) -> None:
        deliver_remarks(self._database, team, task)
        copy_trajectory(self._database, team, task)
