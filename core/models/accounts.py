"""What each request took, in the database: written in batches, once each, by a thread.

While the database is away, accounts wait in bounded memory; the oldest are dropped beyond that, and counted.
"""

import asyncio
import json
import time
import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg
import structlog

from core.database import Database
from core.models.budgets import DAY, Budgets

MOST = 50_000
BATCH = 1000
WRITE_SECONDS = 1.0
LONGEST_PAUSE = 15.0
CORRECT_SECONDS = 15.0
"""How often the day's money of all processes is read."""
_logger = structlog.get_logger("model-proxy")


@dataclass(frozen=True, slots=True)
class Account:
    """One row of `model_requests`, with the names of its columns."""

    team_id: uuid.UUID
    id: uuid.UUID
    at: datetime
    task: str | None
    model: str
    version: str
    backend: str
    operation: str
    outcome: str
    tries: int
    prompt_tokens: int
    completion_tokens: int
    estimated: bool
    money: float
    queue_seconds: float
    first_byte_seconds: float | None
    seconds: float

    def row(self) -> dict[str, object]:
        found = {name: getattr(self, name) for name in self.__slots__}
        return {**found, "team_id": str(self.team_id), "id": str(self.id), "at": self.at.isoformat()}


_INSERT = (
    "INSERT INTO model_requests SELECT * FROM json_populate_recordset(NULL::model_requests, %s) "
    "ON CONFLICT (team_id, id) DO NOTHING"
)
"""All rows are one parameter, written by C: adapting each value in Python would hold up the requests meanwhile."""


class Accounts:
    """Without a database it counts nothing. `on_written` and `on_lost` get numbers of accounts."""

    def __init__(
        self,
        database: Database | None,
        budgets: Budgets,
        on_written: Callable[[int], object] = lambda _: None,
        on_lost: Callable[[int], object] = lambda _: None,
        most: int = MOST,
    ) -> None:
        self._database = database
        self._budgets = budgets
        self._on_written = on_written
        self._on_lost = on_lost
        self._most = most
        self._waiting: deque[Account] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="accounts")
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def add(self, account: Account) -> None:
        if self._database is None:
            self._budgets.written(str(account.team_id), account.money, _day(account))
            return
        self._waiting.append(account)
        while len(self._waiting) > self._most:
            dropped = self._waiting.popleft()
            self._budgets.written(str(dropped.team_id), dropped.money, _day(dropped))
            self._on_lost(1)

    def start(self) -> None:
        if self._database is not None:
            self._task = asyncio.get_running_loop().create_task(self._write_always())

    async def close(self, seconds: float = 5.0) -> None:
        """Writes what waits, for at most so long."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            try:
                async with asyncio.timeout(seconds):
                    while self._waiting:
                        await self._write_batch()
            except (psycopg.Error, TimeoutError):
                _logger.warning("accounts of requests were not written at the end", number=len(self._waiting))
                self._on_lost(len(self._waiting))
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _write_always(self) -> None:
        pause, corrected, away = WRITE_SECONDS, float("-inf"), False
        while True:
            try:
                while self._waiting:
                    await self._write_batch()
                if time.monotonic() - corrected > CORRECT_SECONDS:
                    await self._correct()
                    corrected = time.monotonic()
                if away:
                    _logger.info("the database is back; accounts are written again")
                pause, away = WRITE_SECONDS, False
            except psycopg.Error as error:
                if not away:
                    _logger.warning(
                        "the database failed; accounts of requests wait in memory",
                        error=type(error).__name__,
                        sqlstate=error.sqlstate,
                        waiting=len(self._waiting),
                    )
                pause, away = min(LONGEST_PAUSE, 2 * pause), True
            await asyncio.sleep(pause)

    async def _write_batch(self) -> None:
        batch = [self._waiting[n] for n in range(min(BATCH, len(self._waiting)))]
        await asyncio.get_running_loop().run_in_executor(self._thread, self._insert, batch)
        done = set(map(id, batch))
        while self._waiting and id(self._waiting[0]) in done:  # some may have been dropped meanwhile
            self._waiting.popleft()
        for account in batch:
            self._budgets.written(str(account.team_id), account.money, _day(account))
        self._on_written(len(batch))

    def _insert(self, batch: list[Account]) -> None:
        assert self._database is not None  # noqa: S101  start and close check it
        rows = json.dumps([account.row() for account in batch])
        with self._database.system() as connection:
            connection.execute(_INSERT, (rows,))

    async def _correct(self) -> None:
        day = self._budgets.day()
        sums = await asyncio.get_running_loop().run_in_executor(self._thread, self._sums, day)
        self._budgets.correct(sums, day)

    def _sums(self, day: int) -> dict[str, float]:
        assert self._database is not None  # noqa: S101
        since = datetime.fromtimestamp(day * DAY, UTC)
        with self._database.system() as connection:
            rows = connection.execute(
                "SELECT team_id, sum(money) FROM model_requests WHERE at >= %s GROUP BY team_id", (since,)
            ).fetchall()
        return {str(team): float(money) for team, money in rows}


def _day(account: Account) -> int:
    return int(account.at.timestamp() // DAY)
