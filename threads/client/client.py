"""Threads for a program: what is written is kept at once and sent when it can be; what is read may be watched.

    with ThreadClient(Path("threads.db"), transport) as client:
        thread = client.create("The total is wrong")
        client.say(thread, "It adds the tax twice.")
        for snapshot in client.observe(thread, seconds=10):
            print(snapshot.texts)

Two threads talk to the server: one pushes what waits, one pulls. Several processes may open one file; one of them
talks to the server, and another takes over when it ends.
"""

import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from threads.client.monitor import Monitor, Report
from threads.client.store import ClientStore, StorageFull, load_replica
from threads.client.sync import Sync, mark_opened
from threads.client.timing import (
    BATCH,
    OFFLINE_SECONDS,
    WINDOW_SECONDS,
    Activity,
    Throttle,
    poll_interval,
    retry_after,
)
from threads.client.transport import Busy, Offline, Refused, SignedOut, Transport
from threads.client.writing import enqueue, new_id
from threads.model import Role, Visibility
from threads.replica import Replica, Snapshot

WATCH_SECONDS = 0.05
LONG_POLL = 25.0
_LOCK_SECONDS = 1.0
CLOSE_SECONDS = 0.5


@dataclass(frozen=True)
class DeadLetter:
    """A change that the server refused, and why."""

    mutation: Mapping[str, Any]
    code: str
    message: str
    at: float


class ThreadClient:
    """Safe for several threads. Raises `StorageFull`, `QueueFull` and `pydantic.ValidationError` where it writes."""

    def __init__(self, path: Path, transport: Transport, *, clock: Callable[[], float] = time.time) -> None:
        self.store = ClientStore(path)
        self.monitor = Monitor()
        self.sync = Sync(self.store, transport, clock=clock, monitor=self.monitor)
        self.state: Literal["idle", "online", "offline", "signed out", "refused"] = "idle"
        self.problem = ""
        """Why the client stopped syncing, if it did."""
        self._clock = clock
        self._transport = transport
        self._activity = Activity()
        self._watched = 0
        self._queued = threading.Event()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._failures = 0
        self._saves: dict[str, Throttle] = {}
        self._unsaved: dict[tuple[str, str], tuple[str, int | None]] = {}

    def __enter__(self) -> "ThreadClient":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def create(
        self, title: str, *, visibility: Literal["private", "team"] = "private", parent: str | None = None
    ) -> str:
        thread = new_id()
        more = {"parent": parent} if parent else {}
        self._enqueue({"thread": thread, "kind": "create", "title": title, "visibility": visibility, **more})
        with self.store.writing() as db:
            mark_opened(db, thread)
        return thread

    def say(
        self,
        thread: str,
        text: str,
        *,
        role: str = "user",
        body: Mapping[str, Any] | None = None,
        turn: int | None = None,
    ) -> str:
        """Appends a message, and returns its id."""
        message = new_id()
        mutation = {"thread": thread, "kind": "append", "message": message, "role": role, "text": text}
        self._enqueue(mutation | ({"body": dict(body)} if body else {}) | ({"turn": turn} if turn is not None else {}))
        return message

    def edit(self, thread: str, message: str, text: str, *, turn: int | None = None, resolve: bool = False) -> None:
        """Replaces a message's text, on top of what is shown of it now; with `resolve` its siblings too."""
        with self.store.reading() as db:
            replica = load_replica(db, thread)
        old = replica.messages.get(message) if replica else None
        mutation: dict[str, Any] = {"thread": thread, "kind": "edit", "message": message, "text": text}
        mutation["base"] = old.revision if old else 0
        if turn is not None:
            mutation["turn"] = turn
        if resolve and old and old.siblings:
            mutation["resolves"] = [one["seq"] for one in old.siblings]
        self._enqueue(mutation)

    def autosave(self, thread: str, message: str, text: str, *, turn: int | None = None) -> None:
        """Stores a text that is being written: at once, then once a second. `flush` stores the last one."""
        throttle = self._saves.setdefault(message, Throttle())
        self._unsaved[thread, message] = (text, turn)
        if throttle.wait(self._clock()) == 0.0:
            self.flush(message)

    def flush(self, message: str | None = None) -> None:
        """Stores what `autosave` holds back."""
        for (thread, one), (text, turn) in list(self._unsaved.items()):
            if message in (None, one):
                self.edit(thread, one, text, turn=turn)
                del self._unsaved[thread, one]

    def delete(self, thread: str, message: str) -> None:
        self._enqueue({"thread": thread, "kind": "delete", "message": message})

    def truncate(self, thread: str, after: int) -> None:
        """Deletes the messages after an op's number that are confirmed here by now; those never seen stay."""
        with self.store.reading() as db:
            replica = load_replica(db, thread)
        self._enqueue({"thread": thread, "kind": "truncate", "after": after, "upto": replica.head if replica else 0})

    def rename(self, thread: str, title: str) -> None:
        base = self.snapshot(thread).title
        self._enqueue({"thread": thread, "kind": "title", "title": title, "base": base})

    def share(
        self,
        thread: str,
        visibility: Visibility,
        grants: Mapping[str, Role] | None = None,
        *,
        link: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Changes who may see a thread: online only. Raises `Offline`, `Refused`."""
        self.sync.sync()
        view = self._transport.request("GET", f"/threads/{thread}")
        body = {"acl_epoch": view["acl_epoch"], "visibility": visibility, "grants": dict(grants or {})}
        found: dict[str, Any] = self._transport.request(
            "PUT", f"/threads/{thread}/sharing", body=body | ({"link": dict(link)} if link else {})
        )
        return found

    def listing(self) -> list[dict[str, Any]]:
        """What is known of all threads, the last changed first."""
        with self.store.reading() as db:
            views = [json.loads(view) for (view,) in db.execute("SELECT view FROM threads")]
        known = [view for view in views if view]
        return sorted(known, key=lambda view: str(view["updated_at"]), reverse=True)

    def open(self, thread: str) -> None:
        """Keeps a copy of a thread from now on. Without a connection that begins with the next pull."""
        try:
            self.sync.open(thread)
        except (Offline, Busy):
            self._note("offline")

    def snapshot(self, thread: str) -> Snapshot:
        """What is shown of a thread: what is confirmed, with what is pending over it."""
        with self.store.reading() as db:
            replica = load_replica(db, thread) or Replica()
            rows = db.execute("SELECT mutation FROM pending WHERE thread = ? ORDER BY id", (thread,)).fetchall()
        return replica.with_pending(json.loads(text) for (text,) in rows)

    def observe(self, thread: str, *, seconds: float | None = None) -> Iterator[Snapshot]:
        """Snapshots of a thread as it changes, the first one now. While it runs, pulls are long polls."""
        until = None if seconds is None else time.monotonic() + seconds
        self._watched += 1
        last: Snapshot | None = None
        version: tuple[int, int] | None = None
        try:
            while not self._stop.is_set():
                now = self.store.version()
                if now != version:
                    version, found = now, self.snapshot(thread)
                    if found != last:
                        last = found
                        yield found
                if until is not None and time.monotonic() >= until:
                    return
                time.sleep(WATCH_SECONDS)
        finally:
            self._watched -= 1

    def dead_letters(self) -> list[DeadLetter]:
        with self.store.reading() as db:
            rows = db.execute("SELECT mutation, code, message, at FROM dead_letters ORDER BY number").fetchall()
        return [DeadLetter(json.loads(text), code, message, at) for text, code, message, at in rows]

    def report(self) -> Report:
        return self.monitor.report(self.sync.queue_age())

    def start(self) -> None:
        if not self._threads:
            self._threads = [threading.Thread(target=self._run, name="threads sync", daemon=True)]
            self._threads[0].start()

    def close(self) -> None:
        """Stores what was held back, and stops. What is pending is sent by the next process. The answer of a
        long poll that is under way is dropped."""
        self.flush()
        self._stop.set()
        self._queued.set()
        for thread in self._threads:
            thread.join(timeout=CLOSE_SECONDS)
        if not any(thread.is_alive() for thread in self._threads):
            self.store.close()

    def _enqueue(self, mutation: Mapping[str, Any]) -> None:
        enqueue(self.store, mutation, self._clock())
        self._activity.note(time.monotonic())
        self._queued.set()

    def _note(self, state: Literal["idle", "online", "offline", "signed out", "refused"]) -> None:
        self.state = state

    def _run(self) -> None:
        puller = threading.Thread(target=self._loop, args=(self._pull_once,), name="threads pull", daemon=True)
        while not self._stop.is_set():
            with self.store.syncing() as mine:
                if mine:
                    puller.start()
                    self._loop(self._push_once)
                    break  # another process may go on at once, also while a long poll of this one is under way
            self._stop.wait(_LOCK_SECONDS)
        if puller.ident is not None:
            puller.join()
        if self._stop.is_set():
            self.store.close()

    def _loop(self, step: Callable[[], float]) -> None:
        """Does a step again and again, each time after as many seconds as it says."""
        failures = 0
        while not self._stop.is_set():
            try:
                pause, failures = step(), 0
                self._note("online")
            except Busy as busy:
                failures += 1
                pause = max(busy.seconds, retry_after(failures, random.random()))  # noqa: S311
            except (Offline, StorageFull):
                failures += 1
                self._note("offline")
                pause = min(OFFLINE_SECONDS, retry_after(failures, random.random()))  # noqa: S311
            except SignedOut as over:
                self.problem = str(over)
                self._note("signed out")
                return
            except Refused as refused:
                self.problem = str(refused)
                self._note("refused")
                return
            self._stop.wait(pause)

    def _push_once(self) -> float:
        if not self.sync.waiting():
            self._queued.clear()
            if not self.sync.waiting():
                self._queued.wait(_LOCK_SECONDS)  # another process may have written too
            if not self.sync.waiting():
                return 0.0
            until = time.monotonic() + WINDOW_SECONDS
            while self.sync.waiting() < BATCH and (left := until - time.monotonic()) > 0:
                self._stop.wait(min(left, 0.02))
        self.sync.push_safely()
        return 0.0

    def _pull_once(self) -> float:
        if self._watched:
            self.sync.pull(LONG_POLL, dropped=self._stop.is_set)
            return 0.0
        if self.sync.pull():
            self._activity.note(time.monotonic(), 0.3)
            return 0.0
        level = self._activity.now(time.monotonic(), self.sync.waiting())
        pause = poll_interval(level, random.random())  # noqa: S311
        until = time.monotonic() + pause
        while not self._stop.is_set() and not self._watched and time.monotonic() < until:
            self._stop.wait(0.2)
        return 0.0
