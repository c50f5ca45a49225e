"""The connection pool of a process, and transactions as a team or as the platform.

The login role owns nothing and inherits nothing. Each transaction sets its role to `penstock_app` (one
team's rows, by row-level security) or `penstock_system` (processes that serve every team), so Postgres
refuses a statement outside of a transaction of this module.
"""

import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from pgvector.psycopg.vector import register_vector_info
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg.types import TypeInfo
from psycopg_pool import ConnectionPool

SEARCH_PATH = "penstock,public"

_AS_TEAM = "SELECT set_config('role', 'penstock_app', true), set_config('penstock.team_id', %s, true)"
_AS_SYSTEM = "SELECT set_config('role', 'penstock_system', true)"


class Database:
    """A lazily opened pool: nothing connects before the first transaction, and a forked child
    opens its own pool instead of sharing its parent's sockets."""

    def __init__(self, url: str, *, max_size: int = 8, timeout: float = 15.0) -> None:
        self.url = url
        self._max_size = max_size
        self._timeout = timeout
        self._pool: ConnectionPool[Connection[TupleRow]] | None = None
        self._pid = 0
        self._vector: TypeInfo | None = None  # fetched once, since that takes as long as connecting
        self._lock = threading.Lock()

    def _open(self) -> ConnectionPool[Connection[TupleRow]]:
        if self._pool is not None and self._pid == os.getpid():
            return self._pool
        with self._lock:
            if self._pool is None or self._pid != os.getpid():
                self._pool = ConnectionPool(
                    self.url,
                    min_size=0,
                    max_size=self._max_size,
                    timeout=self._timeout,
                    max_idle=60,
                    kwargs={
                        "options": f"-c search_path={SEARCH_PATH} -c idle_in_transaction_session_timeout=120000",
                        "connect_timeout": 10,
                        "application_name": "penstock",
                    },
                    configure=self._register_vectors,
                    check=ConnectionPool.check_connection,
                    open=True,
                )
                self._pid = os.getpid()
        return self._pool

    @contextmanager
    def team(self, team_id: uuid.UUID, *, pipelined: bool = False) -> Iterator[Connection[TupleRow]]:
        """A transaction that sees and writes only `team_id`'s rows. Raises `psycopg.OperationalError`
        (or `psycopg_pool.PoolTimeout`) when the database cannot be reached.

        With `pipelined`, statements are sent without waiting for earlier ones. A fetch waits for its own
        statement, and raises an error of any statement up to it.
        """
        with self._open().connection() as connection:
            pipeline = connection.pipeline() if pipelined else nullcontext()
            with pipeline, connection.transaction():
                connection.execute(_AS_TEAM, (str(team_id),))
                yield connection

    @contextmanager
    def system(self) -> Iterator[Connection[TupleRow]]:
        """A transaction of a platform process, which sees every team's rows."""
        with self._open().connection() as connection, connection.transaction():
            connection.execute(_AS_SYSTEM)
            yield connection

    def close(self) -> None:
        if self._pool is not None and self._pid == os.getpid():
            self._pool.close()
        self._pool = None

    def _register_vectors(self, connection: Connection[TupleRow]) -> None:
        """Lets a connection take numpy arrays as vectors. Does nothing in a database without pgvector."""
        self._vector = self._vector or TypeInfo.fetch(connection, "vector")
        if self._vector:
            register_vector_info(connection, self._vector)
