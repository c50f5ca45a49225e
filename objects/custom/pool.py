"""Warm processes for handlers of teams: kept for a version of a type that was just used, and one without any code in
store.

A process that has loaded code serves that version of that team's type until it ends, and nobody else. The one in store
has run nobody's code.
"""

import logging
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from objects.catalogue import CodeRow
from objects.custom.workers import STEP_SECONDS, Worker
from objects.model import Fault, Message, Step, TypeSpec, Unavailable
from sandbox.protocol import Sandbox

_logger = logging.getLogger("objects")

MOST = 12
"""Processes at once."""
MOST_OF_ONE = 4
IDLE_SECONDS = 120.0
STORE_SECONDS = 300.0
"""How long after the last use a process without code is kept in store."""
WAIT_SECONDS = 15.0

_Name = tuple[uuid.UUID, str, str]
"""Team, type, and hash of the code."""


class Pool:
    """Opened with a sandbox that works; starts nothing before it is used."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._workspace = tempfile.TemporaryDirectory(prefix="penstock-objects-")
        self._idle: dict[_Name, list[Worker]] = {}
        self._running: dict[_Name, int] = {}
        self._store: list[Worker] = []
        self._storing = False
        self._used = 0.0
        self._changed = threading.Condition()
        self._closed = False

    def handler(self, team: uuid.UUID, code: CodeRow, spec: TypeSpec) -> "SandboxHandler":
        return SandboxHandler(self, (team, code.type, code.sha256), code, spec)

    @contextmanager
    def worker(self, name: _Name, source: str, *, program: bool) -> Iterator[Worker]:
        """A process with this version's code, for one step. Raises `Fault` if that cannot be loaded, `Unavailable`."""
        worker = self._take(name)
        try:
            if worker is None:
                worker = self._fresh(source if program else None)
                try:
                    worker.load(source)
                except BaseException:
                    worker.close()
                    raise
            yield worker
        finally:
            self._give_back(name, worker)
            if not program:
                self._refill()

    def _take(self, name: _Name) -> Worker | None:
        """An idle process of this version, or None when a new one may be started."""
        deadline = time.monotonic() + WAIT_SECONDS
        with self._changed:
            while True:
                idle = self._idle.get(name, [])
                while idle:
                    worker = idle.pop()
                    if not worker.old:
                        self._running[name] = self._running.get(name, 0) + 1
                        return worker
                    worker.close()
                if self._running.get(name, 0) < MOST_OF_ONE and self._room():
                    self._running[name] = self._running.get(name, 0) + 1
                    return None
                if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                    raise Unavailable("all processes for code of teams are busy")

    def _room(self) -> bool:
        """Whether one more may run; ends the one that was idle longest for it."""
        if sum(self._running.values()) + sum(map(len, self._idle.values())) < MOST:
            return True
        waiting = [(worker.used, name, worker) for name, some in self._idle.items() for worker in some]
        if not waiting:
            return False
        _, name, worker = min(waiting, key=lambda one: one[0])
        self._idle[name].remove(worker)
        worker.close()
        return True

    def _fresh(self, program: str | None) -> Worker:
        if program is None:
            with self._changed:
                while self._store:
                    worker = self._store.pop()
                    if not worker.old:
                        return worker
                    worker.close()
        return Worker(self._sandbox, Path(self._workspace.name), program)

    def _give_back(self, name: _Name, worker: Worker | None) -> None:
        with self._changed:
            self._running[name] -= 1
            if not self._running[name]:
                del self._running[name]
            if worker is not None and not worker.broken and not self._closed:
                worker.used = self._used = time.monotonic()
                self._idle.setdefault(name, []).append(worker)
            elif worker is not None and not worker.broken:
                worker.close()
            self._changed.notify_all()

    def _refill(self) -> None:
        """Starts a process for the store, beside the caller."""
        with self._changed:
            if self._store or self._storing or self._closed:
                return
            self._storing = True
        threading.Thread(target=self._fill, name="object-store", daemon=True).start()

    def _fill(self) -> None:
        made = None
        try:
            made = Worker(self._sandbox, Path(self._workspace.name))
        except Unavailable as error:
            _logger.warning("no process for code of teams could be started: %s", str(error)[:300])
        with self._changed:
            self._storing = False
            if made is not None and not self._closed:
                self._store.append(made)
            elif made is not None:
                made.close()

    def tidy(self) -> None:
        """Ends what has been idle for long; to be called now and then."""
        now = time.monotonic()
        with self._changed:
            for name in list(self._idle):
                for worker in [one for one in self._idle[name] if one.old or now - one.used > IDLE_SECONDS]:
                    self._idle[name].remove(worker)
                    worker.close()
                if not self._idle[name]:
                    del self._idle[name]
            if now - self._used > STORE_SECONDS:
                while self._store:
                    self._store.pop().close()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            for worker in [*self._store, *(one for some in self._idle.values() for one in some)]:
                worker.close()
            self._store, self._idle = [], {}
        self._workspace.cleanup()


class SandboxHandler:
    """`objects.handlers.Handler` of a team's code."""

    def __init__(self, pool: Pool, name: _Name, code: CodeRow, spec: TypeSpec) -> None:
        self._pool = pool
        self._name = name
        self._code = code
        self.spec = spec

    def _ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        program = self._code.source.startswith("#!")
        with self._pool.worker(self._name, self._code.source, program=program) as worker:
            return worker.ask(question, STEP_SECONDS)

    def ready(self) -> None:
        program = self._code.source.startswith("#!")
        with self._pool.worker(self._name, self._code.source, program=program):
            pass

    def handle(self, state: Any, message: Message) -> Step:
        told = {
            "method": message.method, "argument": message.argument, "id": message.id, "now": message.now,
            "key": message.key, "caller": message.caller,
        }  # fmt: skip
        answer = self._ask({"do": "handle", "state": state, "message": told})
        if not {"state", "result"} <= set(answer):
            raise Fault("it broke the protocol: an answer has a state and a result")
        return Step(answer["result"], answer["state"], answer.get("effects") or [])

    def plan(self, state: Any, message: Message) -> Mapping[str, Any] | None:
        return None

    def migrate(self, state: Any, version: int) -> Any:
        return self._state_of(self._ask({"do": "migrate", "state": state, "version": version}))

    def downgrade(self, state: Any, version: int) -> Any:
        """The state for an older version of the code. Raises `LookupError` if this one changes states on the way up,
        and does not say how to change them back."""
        answer = self._ask({"do": "downgrade", "state": state, "version": version})
        if answer.get("missing") is True:
            raise LookupError("the code has no function downgrade(state, version)")
        return self._state_of(answer)

    def _state_of(self, answer: Mapping[str, Any]) -> Any:
        if "state" not in answer:
            raise Fault("it broke the protocol: an answer has a state")
        return answer["state"]
