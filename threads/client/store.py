"""The file of a client: what is confirmed, what is pending, what was refused, and the cursor.

Several processes may use one file: each write is a transaction, and only the one that holds `syncing` talks to the
server. A write that returned survives a kill and a loss of power (`synchronous = FULL`); one that does not fit on the
disk raises `StorageFull` and has changed nothing.
"""

import fcntl
import json
import sqlite3
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from threads.replica import Message, Replica

MOST_PENDING = 10_000
MOST_DEAD = 10_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS threads (
    id TEXT PRIMARY KEY, view TEXT NOT NULL, head INTEGER, title TEXT, continued_in TEXT,
    opened INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS messages (
    thread TEXT NOT NULL, id TEXT NOT NULL, seq INTEGER NOT NULL, message TEXT NOT NULL,
    PRIMARY KEY (thread, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pending (
    id INTEGER PRIMARY KEY, thread TEXT NOT NULL, mutation TEXT NOT NULL, at REAL NOT NULL,
    sent INTEGER NOT NULL DEFAULT 0, seq INTEGER);
CREATE INDEX IF NOT EXISTS pending_by_thread ON pending (thread, id);
CREATE TABLE IF NOT EXISTS dead_letters (
    number INTEGER PRIMARY KEY AUTOINCREMENT, mutation TEXT NOT NULL, code TEXT NOT NULL, message TEXT NOT NULL,
    at REAL NOT NULL);
"""


class StorageFull(OSError):
    """The disk of the client is full: nothing was changed. Free some space and do it again."""


class QueueFull(RuntimeError):
    """Too much waits to be sent: nothing was changed."""


class ClientStore:
    """One connection of one thread of this process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        self._lock = threading.RLock()
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA secure_delete = ON")
        with self.writing():
            for statement in filter(str.strip, _SCHEMA.split(";")):
                self._db.execute(statement)
            self._db.execute("INSERT OR IGNORE INTO meta VALUES ('client', ?)", (str(uuid.uuid4()),))
        path.chmod(0o600)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that excludes other writers. Raises `StorageFull`."""
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield self._db
                    self._db.execute("COMMIT")
                except BaseException:
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
                    raise
            except sqlite3.OperationalError as error:
                if "full" in str(error) or "disk I/O" in str(error):
                    raise StorageFull(f"{self.path}: {error}: nothing was changed") from error
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A transaction that sees one state of the file."""
        with self._lock:
            self._db.execute("BEGIN")
            try:
                yield self._db
            finally:
                self._db.execute("ROLLBACK")

    @contextmanager
    def syncing(self) -> Iterator[bool]:
        """Whether this process is the one that talks to the server for this file, until the block ends."""
        with self.path.with_suffix(".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    def scrub(self) -> None:
        """Removes what was deleted from the file's log as well, unless another process reads it now."""
        with self._lock:
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def version(self) -> tuple[int, int]:
        """Changes when this or another process has written."""
        with self._lock:
            return self._db.execute("PRAGMA data_version").fetchone()[0], self._db.total_changes

    def get(self, name: str) -> str | None:
        with self._lock:
            row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else None

    @property
    def client(self) -> str:
        return str(self.get("client"))

    def close(self) -> None:
        with self._lock:
            self._db.close()


def put(db: sqlite3.Connection, name: str, value: str) -> None:
    db.execute("INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value))


def load_replica(db: sqlite3.Connection, thread: str) -> Replica | None:
    """What is confirmed of an opened thread."""
    row = db.execute(
        "SELECT title, head, continued_in FROM threads WHERE id = ? AND head IS NOT NULL", (thread,)
    ).fetchone()
    if row is None:
        return None
    messages = [
        _message(json.loads(text))
        for (text,) in db.execute("SELECT message FROM messages WHERE thread = ? ORDER BY seq", (thread,))
    ]
    replica = Replica(row[0] or "", row[1], messages)
    replica.continued_in = row[2]
    return replica


def load_some(db: sqlite3.Connection, thread: str, ops: list[Mapping[str, Any]]) -> Replica | None:
    """The confirmed state that folding these ops needs: the messages that they name, or all for a truncation."""
    if any(op["kind"] == "truncate" for op in ops):
        return load_replica(db, thread)
    row = db.execute(
        "SELECT title, head, continued_in FROM threads WHERE id = ? AND head IS NOT NULL", (thread,)
    ).fetchone()
    if row is None:
        return None
    ids = {op["body"]["id"] for op in ops if op["kind"] in ("edit", "sibling", "delete")}
    found = (
        db.execute("SELECT message FROM messages WHERE thread = ? AND id = ?", (thread, one)).fetchone() for one in ids
    )
    replica = Replica(row[0] or "", row[1], [_message(json.loads(one[0])) for one in found if one])
    replica.continued_in = row[2]
    return replica


def save_replica(db: sqlite3.Connection, thread: str, replica: Replica) -> None:
    db.execute(
        "UPDATE threads SET title = ?, head = ?, continued_in = ? WHERE id = ?",
        (replica.title, replica.head, replica.continued_in, thread),
    )
    db.executemany(
        "INSERT INTO messages VALUES (?, ?, ?, ?) ON CONFLICT (thread, id) DO UPDATE SET message = excluded.message",
        [
            (thread, one.id, one.seq, json.dumps(vars(one)))
            for one in (replica.messages[identity] for identity in replica.changed)
        ],
    )
    replica.changed.clear()


def _message(found: dict[str, Any]) -> Message:
    return Message(**{**found, "siblings": tuple(found["siblings"])})
