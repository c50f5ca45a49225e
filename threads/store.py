"""Connections of the service: a pool of asynchronous ones that hold the role `penstock_member`.

Each call is one function of the schema in one statement, which is one transaction and one round trip. The function sets
whom it stands for, and row-level security shows it what this principal may see.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

from core.database.pool import SEARCH_PATH

CONNECTIONS = 6
TIMEOUT = 15.0
"""Seconds that a call waits for a connection."""


class Store:
    """Opened by the first call, in the event loop that makes it; one loop at a time uses it."""

    def __init__(self, url: str, *, connections: int = CONNECTIONS) -> None:
        self.url = url
        self._connections = connections
        self._pool: AsyncConnectionPool[AsyncConnection[TupleRow]] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opening = asyncio.Lock()

    async def call(self, query: str, values: Sequence[Any]) -> Any:
        """The one row that a query gives. All queries may be repeated: after a lost connection it is made once more.
        Raises `psycopg.OperationalError` (or `psycopg_pool.PoolTimeout`, which is one)."""
        pool = await self._open()
        for attempt in (1, 2):
            try:
                async with pool.connection(TIMEOUT) as connection:
                    cursor = await connection.execute(query.encode(), values, prepare=True)
                    return await cursor.fetchone()
            except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure):
                if attempt == 2:
                    raise
            except (psycopg.OperationalError, psycopg.InterfaceError):
                if attempt == 2:
                    raise
                await pool.check()
        raise AssertionError("unreachable")

    async def connect(self) -> AsyncConnection[TupleRow]:
        """A connection of its own, for listening."""
        connection = await AsyncConnection.connect(self.url, autocommit=True, **_OPTIONS)
        await connection.execute("SET ROLE penstock_member")
        return connection

    async def _open(self) -> AsyncConnectionPool[AsyncConnection[TupleRow]]:
        if self._loop is not asyncio.get_running_loop():
            self._loop, self._pool, self._opening = asyncio.get_running_loop(), None, asyncio.Lock()
        async with self._opening:
            if self._pool is not None:
                return self._pool
            pool = AsyncConnectionPool(
                self.url,
                min_size=0,
                max_size=self._connections,
                max_idle=60,
                timeout=TIMEOUT,
                kwargs={"autocommit": True, **_OPTIONS},
                configure=_become_member,
                open=False,
            )
            await pool.open()
            self._pool = pool
            return pool

    async def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close(timeout=2)


_OPTIONS: dict[str, Any] = {
    "options": f"-c search_path={SEARCH_PATH} -c statement_timeout=30000",
    "connect_timeout": 10,
    "application_name": "penstock threads",
    "tcp_user_timeout": 30_000,
}


async def _become_member(connection: AsyncConnection[TupleRow]) -> None:
    await connection.execute("SET ROLE penstock_member")
