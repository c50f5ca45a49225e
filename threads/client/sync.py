"""One push, one pull: the steps by which a client's file and the server come together.

Each step may fail at any point, or be killed, and is then done again. Only one process does them for a file at a time
(`ClientStore.syncing`). Not for when they are done: `threads.client.client` decides that.
"""

import json
import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from threads.client.monitor import Monitor
from threads.client.store import MOST_DEAD, ClientStore, load_some, put, save_replica
from threads.client.timing import BATCH, BATCH_BYTES
from threads.client.transport import Refused, Transport
from threads.client.writing import become_another, renumber
from threads.model import PROTOCOL
from threads.replica import Gap

PAGE = 1000


class Sync:
    def __init__(
        self,
        store: ClientStore,
        transport: Transport,
        *,
        clock: Callable[[], float] = time.time,
        monitor: Monitor | None = None,
    ) -> None:
        self.store = store
        self.transport = transport
        self.clock = clock
        self.monitor = monitor or Monitor()

    def push(self) -> int:
        """Sends what waits longest, at most one batch, and returns how many mutations were answered."""
        batch = self._next_batch()
        if not batch:
            return 0
        body = {"protocol": PROTOCOL, "client": self.store.client, "mutations": batch}
        began = time.perf_counter()
        try:
            answer = self.transport.request("POST", "/sync/push", body=body)
        except Refused as refused:
            return self._refused(refused, batch)
        self.monitor.pushed(len(batch), time.perf_counter() - began)
        with self.store.writing() as db:
            for result in answer["results"]:
                self._answered(db, result)
        return len(answer["results"])

    def _next_batch(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        size = 0
        with self.store.writing() as db:
            rows = db.execute("SELECT id, mutation FROM pending WHERE seq IS NULL ORDER BY id LIMIT ?", (BATCH,))
            for number, text in rows.fetchall():
                if found and (number != found[-1]["id"] + 1 or size + len(text) > BATCH_BYTES):
                    break
                found.append({"id": number, **json.loads(text)})
                size += len(text)
            db.executemany("UPDATE pending SET sent = 1 WHERE id = ? AND sent = 0", [(one["id"],) for one in found])
        return found

    def _answered(self, db: sqlite3.Connection, result: Mapping[str, Any]) -> None:
        status = result.get("was", result["status"])
        row = db.execute("SELECT thread, mutation FROM pending WHERE id = ?", (result["id"],)).fetchone()
        if row is None:
            return  # its op was read before the answer
        self.monitor.answered(status == "conflict")
        seq = result.get("seq")
        if seq is None:
            if status != "applied":
                _bury(db, row[1], result, self.clock())
            db.execute("DELETE FROM pending WHERE id = ?", (result["id"],))
            return
        opened = db.execute("SELECT head FROM threads WHERE id = ? AND opened", (row[0],)).fetchone()
        if opened is None or (opened[0] or 0) >= seq:
            db.execute("DELETE FROM pending WHERE id = ?", (result["id"],))
        else:
            db.execute("UPDATE pending SET seq = ? WHERE id = ?", (seq, result["id"]))

    def _refused(self, refused: Refused, batch: list[dict[str, Any]]) -> int:
        """After a refusal of a whole push: 1, since there is more to push now. Raises it if nothing can be done."""
        with self.store.writing() as db:
            if refused.code == "client":
                become_another(db)
            elif refused.code == "gap":
                expected = int(refused.answer["expected"])
                if (
                    expected < batch[0]["id"]
                    and db.execute("SELECT 1 FROM pending WHERE id = ?", (expected,)).fetchone()
                ):
                    db.execute("UPDATE pending SET seq = NULL WHERE id >= ?", (expected,))
                else:
                    become_another(db)
            elif refused.code == "protocol" or refused.status not in (400, 413, 422):
                raise refused
            elif len(batch) > 1:
                # One of them is malformed: each goes alone, until it is found.
                raise _Alone(batch) from refused
            else:
                _bury(db, json.dumps(batch[0]), {"code": refused.code, "message": str(refused)}, self.clock())
                db.execute("DELETE FROM pending WHERE id = ?", (batch[0]["id"],))
                renumber(db, batch[0]["id"])
        return 1

    def pull(self, wait: float = 0.0, dropped: Callable[[], bool] = lambda: False) -> bool:
        """Reads what changed, once, and then the ops that opened threads lack. Whether there was anything. If `dropped`
        says so when the answer is there, it is as if it had been lost."""
        query = {"client": self.store.client, "cursor": self.store.get("cursor"), "wait": wait or None}
        answer = self.transport.request("GET", "/sync/pull", query=query, wait=wait)
        if dropped():
            return False
        with self.store.writing() as db:
            if answer["reset"]:
                db.execute("DELETE FROM messages")
                db.execute("DELETE FROM threads WHERE NOT opened")
                db.execute("UPDATE threads SET head = 0, view = '{}'")
            for thread in answer["purge"]:
                purge(db, thread)
            for one in answer["threads"]:
                self._take(db, one)
            put(db, "cursor", answer["cursor"])
        if answer["purge"]:
            self.store.scrub()
        self.catch_up()
        return bool(answer["threads"] or answer["purge"] or answer["more"])

    def _take(self, db: sqlite3.Connection, one: dict[str, Any]) -> None:
        ops = one.pop("ops", [])
        one.pop("from", None)
        keep_view(db, one)
        row = db.execute("SELECT head FROM threads WHERE id = ? AND opened", (one["id"],)).fetchone()
        if row is not None:
            fresh = [op for op in ops if op["seq"] > (row[0] or 0)]
            if fresh and fresh[0]["seq"] == (row[0] or 0) + 1:
                self._fold(db, one["id"], fresh)

    def _fold(self, db: sqlite3.Connection, thread: str, ops: list[Mapping[str, Any]]) -> None:
        replica = load_some(db, thread, ops)
        if replica is None:
            return
        client = self.store.client
        for op in ops:
            try:
                replica.fold(op)
            except Gap:
                break
            if op["client"] == client:
                db.execute("DELETE FROM pending WHERE id = ?", (op["mutation"],))
        save_replica(db, thread, replica)
        db.execute("DELETE FROM pending WHERE thread = ? AND seq <= ?", (thread, replica.head))

    def open(self, thread: str) -> None:
        """Keeps a copy of a thread from now on, and reads it. Raises `Refused` 404."""
        with self.store.writing() as db:
            mark_opened(db, thread)
        self.catch_up(thread)

    def catch_up(self, only: str | None = None) -> None:
        """Reads the ops that opened threads lack."""
        with self.store.reading() as db:
            rows = db.execute("SELECT id, head, view FROM threads WHERE opened").fetchall()
        for thread, head, view in rows:
            known = json.loads(view).get("head", 1 << 60)
            if thread == only:
                self._read_ops(thread)
            elif only is None and head < known:
                with suppress(Refused):  # it is gone for this person, and was purged
                    self._read_ops(thread)

    def _read_ops(self, thread: str) -> None:
        while True:
            with self.store.reading() as db:
                row = db.execute("SELECT head FROM threads WHERE id = ?", (thread,)).fetchone()
            if row is None:
                return
            query = {"after": row[0], "limit": PAGE, "client": self.store.client}
            try:
                page = self.transport.request("GET", f"/threads/{thread}/ops", query=query)
            except Refused as refused:
                if refused.status != 404:
                    raise
                with self.store.writing() as db:
                    query_made = 'SELECT 1 FROM pending WHERE thread = ? AND mutation LIKE \'%"kind": "create"%\''
                    if db.execute(query_made, (thread,)).fetchone() is not None:
                        return  # it was made here, and the server does not know of it yet
                    purge(db, thread)
                raise
            with self.store.writing() as db:
                self._fold(db, thread, page["ops"])
                if page["acl_epoch"]:
                    keep_head(db, thread, page["head"])
            if not page["ops"] or page["ops"][-1]["seq"] >= page["head"]:
                return

    def sync(self) -> None:
        """Pushes until nothing waits, then pulls until nothing is new."""
        while self.push_safely():
            pass
        while self.pull():
            pass

    def push_safely(self) -> int:
        """As `push`; a malformed mutation among others is found by sending each alone."""
        try:
            return self.push()
        except _Alone as alone:
            for one in alone.batch:
                body = {"protocol": PROTOCOL, "client": self.store.client, "mutations": [one]}
                try:
                    answer = self.transport.request("POST", "/sync/push", body=body)
                except Refused as refused:
                    self._refused(refused, [one])
                    return 1
                with self.store.writing() as db:
                    for result in answer["results"]:
                        self._answered(db, result)
            return len(alone.batch)

    def waiting(self) -> int:
        """How many mutations the server has not answered."""
        with self.store.reading() as db:
            return int(db.execute("SELECT count(*) FROM pending WHERE seq IS NULL").fetchone()[0])

    def queue_age(self) -> float:
        with self.store.reading() as db:
            row = db.execute("SELECT min(at) FROM pending WHERE seq IS NULL").fetchone()
        return max(0.0, self.clock() - row[0]) if row[0] is not None else 0.0


class _Alone(Exception):
    def __init__(self, batch: list[dict[str, Any]]) -> None:
        super().__init__("each mutation goes alone")
        self.batch = batch


def mark_opened(db: sqlite3.Connection, thread: str) -> None:
    """Has a copy of a thread kept from now on; a pull may have named it before."""
    db.execute(
        "INSERT INTO threads (id, view, head, opened) VALUES (?, '{}', 0, 1) "
        "ON CONFLICT (id) DO UPDATE SET opened = 1, head = coalesce(head, 0)",
        (thread,),
    )


def keep_view(db: sqlite3.Connection, view: Mapping[str, Any]) -> None:
    """Stores what a list shows of a thread, unless something newer is there."""
    row = db.execute("SELECT view FROM threads WHERE id = ?", (view["id"],)).fetchone()
    old = json.loads(row[0]) if row else {}
    if (view["head"], view["acl_epoch"]) >= (old.get("head", -1), old.get("acl_epoch", -1)):
        db.execute(
            "INSERT INTO threads (id, view) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET view = excluded.view",
            (view["id"], json.dumps(view)),
        )


def keep_head(db: sqlite3.Connection, thread: str, head: int) -> None:
    row = db.execute("SELECT view FROM threads WHERE id = ?", (thread,)).fetchone()
    view = json.loads(row[0]) if row else {}
    if row and view.get("head", -1) < head:
        db.execute("UPDATE threads SET view = ? WHERE id = ?", (json.dumps({**view, "head": head}), thread))


def purge(db: sqlite3.Connection, thread: str) -> None:
    """Deletes the copy of a thread that the person may no longer read. What was sent there waits for no op any more;
    what was not is sent all the same, since numbers have no gaps, and is refused."""
    db.execute("DELETE FROM pending WHERE thread = ? AND seq IS NOT NULL", (thread,))
    db.execute("DELETE FROM messages WHERE thread = ?", (thread,))
    db.execute("DELETE FROM threads WHERE id = ?", (thread,))


def _bury(db: sqlite3.Connection, mutation: str, result: Mapping[str, Any], now: float) -> None:
    db.execute(
        "INSERT INTO dead_letters (mutation, code, message, at) VALUES (?, ?, ?, ?)",
        (mutation, str(result.get("code", "")), str(result.get("message", "")), now),
    )
    db.execute("DELETE FROM dead_letters WHERE number <= (SELECT max(number) FROM dead_letters) - ?", (MOST_DEAD,))
