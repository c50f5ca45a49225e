"""Runs the steps of objects on one node: claim, handle, commit.

Synchronous; `objects.node` sees to it that no two steps of an object run at once in its process. Nothing here is needed
for safety across nodes: that is the epoch, which each commit names.
"""

import json
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import psycopg

from objects.effects import Effects
from objects.handlers import Chosen, Handler, Handlers, NoSuchType
from objects.holding import RETRY_SECONDS, Held, Holding
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


class Outside(Protocol):
    """Does in the world what a trusted type has planned."""

    def perform(self, address: Address, key: str, wanted: Mapping[str, Any], seconds: float) -> Any:
        """`key` names the call, the same in every try. Raises `Refused`, `Fault` and `Unavailable`."""

    def close(self) -> None: ...


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
        self.holding = Holding(store, handlers, node, edge)
        self.alarms_set: Callable[[], None] = lambda: None
        """Called from a step's thread when a commit stored something that will be due."""

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
            self.holding.drop(call.address)  # a commit may or may not have happened
            return problem("retry", str(error)[:300], seconds=RETRY_SECONDS)
        except Exception as error:
            _logger.exception("a step of %s failed by a bug", call.address)
            self.holding.drop(call.address)
            return problem("internal", f"internal error: {type(error).__name__}")

    def _try(self, call: Call) -> Reply | None:
        """The reply; None if the object was lost meanwhile."""
        chosen = self._handlers.choose(call.address)
        spec = self._handlers.of(call.address, chosen.version).spec
        if spec.stateless:
            return self._without_state(call, chosen)
        held = self.holding.get(call.address)
        if held is None:
            wanted = spec.methods.get(call.method)
            claimed = self.holding.claim(call.address, chosen, create=wanted is not None and not wanted.reading)
            if claimed is None:  # a look at what does not exist makes nothing
                return self._without_state(call, chosen)
            if isinstance(claimed, Reply):
                return claimed
            held = claimed
        held.used = time.monotonic()
        handler = self._handlers.of(call.address, held.code)
        if chosen.version not in (held.code, held.stays):
            handler, moved = self.holding.move(held, handler, chosen)
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
                self.holding.drop(call.address)
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
        self.holding.drop(call.address)
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
            self.holding.drop(call.address)
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
