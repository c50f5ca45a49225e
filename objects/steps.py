"""Runs the steps of objects on one node: claim, handle, commit.

Synchronous; `objects.node` sees to it that no two steps of an object run at once in its process. Nothing here is needed
for safety across nodes: that is the epoch, which each commit names.
"""

import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import psycopg

from objects.effects import Effects
from objects.handlers import Chosen, Handler, Handlers, NoSuchType
from objects.model import (
    MAX_ANSWER_BYTES,
    MAX_STATE_BYTES,
    Address,
    Call,
    Fault,
    Message,
    Method,
    Refused,
    Reply,
    Step,
    Unavailable,
    dump,
    problem,
)
from objects.schemas import DoesNotFit, check
from objects.secrets import disguised, opened, sealed
from objects.store import NodeStore
from objects.types.native import Native

_logger = logging.getLogger("objects")

TRIES = 3
"""Of a step that finds that its object has gone elsewhere meanwhile."""
RETRY_SECONDS = 0.2


class Outside(Protocol):
    """Does in the world what a trusted type has planned."""

    def perform(self, address: Address, key: str, wanted: Mapping[str, Any], seconds: float) -> Any:
        """`key` names the call, the same in every try. Raises `Refused`, `Fault` and `Unavailable`."""

    def close(self) -> None: ...


@dataclass
class Held:
    """An object that this node runs, as of the last commit."""

    address: Address
    epoch: int
    incarnation: int
    state: str | None
    version: int
    code: int
    used: float
    stays: int = 0
    """The version of the code that it could not be given: that is tried again when it is claimed anew."""


class Steps:
    """`edge` is called with the name of each edge of a commit, for tests that kill there."""

    def __init__(
        self,
        store: NodeStore,
        handlers: Handlers,
        node: uuid.UUID,
        outside: Outside | None = None,
        edge: Callable[[str], None] = lambda name: None,
    ) -> None:
        self._store = store
        self._handlers = handlers
        self.node = node
        self._outside = outside
        self._edge = edge
        self._held: dict[Address, Held] = {}
        self._lock = threading.Lock()
        self.alarms_set: Callable[[], None] = lambda: None
        """Called from a step's thread when a commit stored something that will be due."""

    # what it holds

    def __len__(self) -> int:
        return len(self._held)

    def idle(self, seconds: float, most_bytes: int) -> list[Held]:
        """The objects that no call has reached for so long, and the least recently used of those whose states have
        more bytes together than may be held."""
        before = time.monotonic() - seconds
        with self._lock:
            newest_first = sorted(self._held.values(), key=lambda held: -held.used)
        found, size = [], 0
        for held in newest_first:
            size += len(held.state or "")
            if held.used < before or size > most_bytes:
                found.append(held)
        return found

    def drop(self, address: Address) -> Held | None:
        with self._lock:
            return self._held.pop(address, None)

    def drop_all(self) -> None:
        with self._lock:
            self._held.clear()

    # one call

    def run(self, call: Call) -> Reply:
        """Runs a call to its reply. The reply is given only after the commit."""
        try:
            for _ in range(TRIES):
                if time.time() > call.deadline:
                    return problem("deadline", "the call's deadline has passed before it was run")
                reply = self._try(call)
                if reply is not None:
                    return reply
            return problem("retry", "the object is changing hands", seconds=RETRY_SECONDS)
        except NoSuchType as error:
            return problem("no-such-type", str(error))
        except (Unavailable, psycopg.OperationalError, psycopg.InterfaceError) as error:
            self.drop(call.address)  # a commit may or may not have happened
            return problem("retry", str(error)[:300], seconds=RETRY_SECONDS)
        except Exception as error:
            _logger.exception("a step of %s failed by a bug", call.address)
            self.drop(call.address)
            return problem("internal", f"internal error: {type(error).__name__}")

    def _try(self, call: Call) -> Reply | None:
        """The reply; None if the object was lost meanwhile."""
        chosen = self._handlers.choose(call.address)
        spec = self._handlers.of(call.address, chosen.version).spec
        if spec.stateless:
            return self._without_state(call, chosen)
        held = self._held.get(call.address)
        if held is None:
            wanted = spec.methods.get(call.method)
            claimed = self._claim(call, chosen, create=wanted is not None and not wanted.reading)
            if claimed is None:  # a look at what does not exist makes nothing
                return self._without_state(call, chosen)
            if isinstance(claimed, Reply):
                return claimed
            held = claimed
        held.used = time.monotonic()
        handler = self._handlers.of(call.address, held.code)
        if chosen.version not in (held.code, held.stays):
            handler, moved = self._move(held, handler, chosen)
            if not moved:
                return None
        found = self._understood(call, handler)
        return found if isinstance(found, Reply) else self._step(call, held, handler, *found)

    def _understood(self, call: Call, handler: Handler) -> tuple[Method, Any] | Reply:
        method = handler.spec.methods.get(call.method)
        if method is None or (method.internal and call.cause is None):
            return problem("no-such-method", f"the type {call.address.type!r} has no method {call.method!r}")
        argument = json.loads(call.argument)
        try:
            check(argument, method.argument)
        except DoesNotFit as error:
            return problem("argument", str(error))
        return method, argument

    def stateless(self, address: Address) -> bool:
        """Whether calls to it may run at once."""
        try:
            return self._handlers.of(address, self._handlers.choose(address).version).spec.stateless
        except (NoSuchType, Unavailable, psycopg.Error):
            return False

    def _without_state(self, call: Call, chosen: Chosen) -> Reply:
        handler = self._handlers.of(call.address, chosen.version)
        found = self._understood(call, handler)
        if isinstance(found, Reply):
            return found
        method, argument = found
        held = Held(call.address, 0, 0, None, 0, chosen.version, 0.0)
        try:
            handler.ready()
            state = handler.spec.initial
            if state is not None:
                held.state = dump(state, "the initial state", MAX_STATE_BYTES)
            step = handler.handle(state, self._message(call, held, handler, method, state, argument))
            if step.effects:
                raise Fault("an object without state has no effects")
            reply = Reply("ok", self._checked(step, method, held)[0])
        except Refused as refused:
            reply = Reply("refused", json.dumps({"code": refused.code, "error": refused.message}))
        except Fault as fault:
            self._store.fault(call.address, chosen.version, "call", str(fault))
            return problem("fault", str(fault)[:1000])
        if call.cause:
            self._store.take(call)
        return reply

    def _claim(self, call: Call, chosen: Chosen, *, create: bool) -> "Held | Reply | None":
        """The object as this node runs it from now on, the reason why it cannot, or None if there is no such object."""
        address = call.address
        found = self._store.claim(address, self.node, create=create, code=chosen.version)
        if found.outcome == "absent":
            return None
        if found.outcome == "elsewhere":
            return problem("moved", "another node runs the object", owner=found.address, seconds=found.seconds)
        if found.outcome == "terminated":
            return problem("terminated", f"{address} was terminated")
        if found.outcome == "failed":
            why = f"{address} could not be made ready: {found.reason}. It is tried again in {found.seconds:.0f} s"
            return problem("failed", why, seconds=found.seconds)
        if found.outcome != "claimed":
            return problem("retry", f"this node cannot run objects now ({found.outcome})", seconds=RETRY_SECONDS)
        self._edge("claimed")
        held = Held(
            *(address, found.epoch, found.incarnation, found.state, found.state_version, found.code_version),
            time.monotonic(),
        )
        try:
            handler = self._handlers.of(address, held.code)
            handler.ready()
        except Fault as fault:
            status = self._store.unready(address, self.node, held.epoch, str(fault))
            self._store.fault(address, held.code, "initialise", str(fault))
            code = "failed" if status == "Failed" else "fault"
            return problem(code, f"{address} cannot be made ready: {fault}"[:1000])
        if held.state is None and handler.spec.initial is not None:
            held.state = dump(handler.spec.initial, "the initial state", MAX_STATE_BYTES)
        with self._lock:
            self._held[address] = held
        return held

    def _move(self, held: Held, handler: Handler, chosen: Chosen) -> tuple[Handler, bool]:
        """Gives the object the version that it should have. If that fails, it stays with its own; False if the object
        was lost meanwhile."""
        address = held.address
        try:
            other = self._handlers.of(address, chosen.version)
            other.ready()
            before = json.loads(held.state) if held.state is not None else None
            after = (
                other.migrate(before, held.code) if chosen.version > held.code else self._older(held, handler, chosen)
            )
            state = dump(after, "the migrated state", MAX_STATE_BYTES)
        except (Fault, Refused) as fault:
            self._store.fault(address, chosen.version, "migrate", str(fault))
            held.stays = chosen.version
            _logger.info("%s stays with version %d of its code: %s", address, held.code, str(fault)[:200])
            return handler, True
        self._edge("migrated")
        version = self._store.migrate(address, self.node, held.epoch, held.version, chosen.version, state)
        if version is None:
            self.drop(address)
            return handler, False
        held.state, held.version, held.code = state, version, chosen.version
        return other, True

    def _older(self, held: Held, handler: Handler, chosen: Chosen) -> Any:
        """The state for an older version: as the newer one changes it back, else the last one that the older has
        left."""
        before = json.loads(held.state) if held.state is not None else None
        try:
            return handler.downgrade(before, chosen.version)
        except (LookupError, Fault, Refused):
            kept = self._store.last_state(held.address, chosen.version)
            return before if kept is None else json.loads(kept)

    def _step(self, call: Call, held: Held, handler: Handler, method: Method, argument: Any) -> Reply | None:
        began = time.perf_counter()
        trusted = isinstance(handler, Native)
        state = json.loads(held.state) if held.state is not None else None
        more: dict[str, Any] = {}
        outcome, text = "ok", None
        try:
            try:
                message = self._message(call, held, handler, method, state, argument)
                step = handler.handle(state, message)
                more = Effects(call, held.incarnation, trusted=trusted).collect(step.effects)
                answer, text = self._checked(step, method, held)
            except Refused as refused:
                more, text = {}, None
                outcome, answer = "refused", json.dumps({"code": refused.code, "error": refused.message})
        except Fault as fault:
            return self._failed(call, held, fault, secret=method.secret)
        if method.reading and not call.cause:  # what was caused is taken by a commit, also when it only reads
            return self._read(call, held, outcome, answer)
        if call.cause:
            more |= call.cause
        self._edge("handled")
        done = self._store.commit(
            *(disguised(call) if method.secret else call, self.node, held.epoch, held.version),
            outcome=outcome,
            answer=sealed(call, answer) if method.secret else answer,
            state=text,
            code=held.code,
            seconds=time.perf_counter() - began,
            more=more,
        )
        self._edge("committed")
        if done.outcome == "done":
            held.version = done.version
            held.state = text if text is not None else held.state
            if more.get("terminate"):
                self.drop(call.address)
            if "alarms" in more or "messages" in more:
                self.alarms_set()
            return Reply(outcome, answer, done.version)
        stored = done.answer or "null"
        if done.outcome == "repeat" and method.secret:
            stored = opened(call, stored)
        return self._not_done(call, done.outcome, done.said or "ok", stored, done.version)

    def _not_done(self, call: Call, outcome: str, said: str, answer: str, version: int) -> Reply | None:
        if outcome == "repeat":
            return Reply(said, answer, version, repeated=True)
        if outcome == "mismatch":
            return problem(
                "call-id", "the call's id was used for another call: a repeat has the same method and argument"
            )
        if outcome == "gone":
            return Reply("gone", "null", version, repeated=True)
        self.drop(call.address)
        return None if outcome == "fenced" else problem("terminated", f"{call.address} was terminated")

    def _message(self, call: Call, held: Held, handler: Handler, method: Method, state: Any, argument: Any) -> Message:
        message = Message(call.method, argument, call.id, time.time(), call.key or call.address.key, call.caller)
        if not method.outside or self._outside is None:
            return message
        wanted = handler.plan(state, message)
        if wanted is None:
            return message
        left = max(0.1, call.deadline - time.time())
        done = self._outside.perform(call.address, call.id, wanted, left)
        return Message(
            call.method, argument, call.id, time.time(), call.key or call.address.key, call.caller, outside=done
        )

    def _checked(self, step: Step, method: Method, held: Held) -> tuple[str, str | None]:
        """The JSON of a step's result, and of its state if that has changed. Raises `Fault`."""
        answer = dump(step.result, "the result", MAX_ANSWER_BYTES)
        try:
            check(step.result, method.answer, "result")
        except DoesNotFit as error:
            raise Fault(f"the result does not fit its schema: {error}") from None
        text = dump(step.state, "the state", MAX_STATE_BYTES) if step.state is not None else None
        if text == held.state:
            text = None
        if method.reading and (text is not None or step.effects):
            raise Fault("a method that only reads has changed the state, or wanted something done")
        return answer, text

    def _read(self, call: Call, held: Held, outcome: str, answer: str) -> Reply | None:
        self._edge("handled")
        if not self._store.holds(call.address, self.node, held.epoch):
            self.drop(call.address)
            return None
        return Reply(outcome, answer, held.version)

    def _failed(self, call: Call, held: Held, fault: Fault, *, secret: bool) -> Reply:
        """A repeat of a call that was answered gets that answer, even if its handler would fail now."""
        stored = disguised(call) if secret else call
        known = self._store.answered(stored)
        if known is not None:
            if known[0] != stored.request:
                return problem("call-id", "the call's id was used for another call")
            return Reply(known[1], opened(call, known[2]) if secret else known[2], held.version, repeated=True)
        self._store.fault(call.address, held.code, "call", str(fault))
        return problem("fault", str(fault)[:1000])
