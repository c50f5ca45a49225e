"""Connections of log readers: outside the pool, autocommitting, with the platform's role, able to listen.

With the pool, a long poll would hold a connection of it and a transaction for its whole wait. A
forked child never uses its parent's connections.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.rows import TupleRow

from core.database.pool import SEARCH_PATH
from core.eventlog.protocol import EventLogUnavailable

CHANNEL = "penstock_log"
"""Each append notifies this channel with the topic's name. A hint only: every wait has a timeout."""

_KEPT = 4


class Session:
    """One connection. Each statement is its own transaction, so a client that hangs holds no lock."""

    def __init__(self, url: str) -> None:
        self.connection: psycopg.Connection[TupleRow] = psycopg.connect(
            url,
            autocommit=True,
            connect_timeout=10,
            application_name="penstock log reader",
            options=f"-c search_path={SEARCH_PATH} -c statement_timeout=30000 -c enable_seqscan=off",
            tcp_user_timeout=30_000,
        )
        self.connection.execute("SET ROLE penstock_system")
        self.listening = False

    def listen(self) -> None:
        if not self.listening:
            self.connection.execute(f"LISTEN {CHANNEL}".encode())
            self.listening = True

    def unlisten(self) -> None:
        """Stops listening, so that an idle connection does not hold back the server's queue of notifications."""
        if self.listening:
            self.connection.execute(f"UNLISTEN {CHANNEL}".encode())
            self.listening = False

    def wait(self, seconds: float) -> set[str]:
        """Waits until an append is announced, or `seconds`; returns the topics announced."""
        return {notify.payload for notify in self.connection.notifies(timeout=seconds, stop_after=1)}

    def close(self) -> None:
        self.connection.close()


class Sessions:
    """The sessions of this process: one for each thread that reads, and a few idle ones."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._idle: list[Session] = []
        self._pid = os.getpid()
        self._lock = threading.Lock()

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A session for this thread alone. Raises `EventLogUnavailable` when the database cannot be reached
        or the connection breaks."""
        session: Session | None = None
        try:
            session = self._take() or Session(self._url)
            yield session
            session.unlisten()
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise EventLogUnavailable(f"the event log's database does not answer: {error}") from error
        finally:
            if session is not None:
                self._give(session)

    def _take(self) -> Session | None:
        """An idle session that still answers; those that died with their server are dropped."""
        while True:
            with self._lock:
                if self._pid != os.getpid():
                    self._idle, self._pid = [], os.getpid()
                if not self._idle:
                    return None
                session = self._idle.pop()
            try:
                session.connection.execute("")
                return session
            except (psycopg.OperationalError, psycopg.InterfaceError):
                session.close()

    def _give(self, session: Session) -> None:
        with self._lock:
            keep = len(self._idle) < _KEPT and not session.connection.closed and not session.listening
            if keep:
                self._idle.append(session)
        if not keep:
            session.close()

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
            mine = self._pid == os.getpid()
        if mine:
            for session in idle:
                session.close()
