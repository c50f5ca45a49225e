"""The objects that a node runs, with their states as of the last commit: claimed, made ready, moved between versions of
their code, and let go."""

import json
import logging
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from objects.handlers import Chosen, Handler, Handlers, NoSuchType
from objects.model import MAX_STATE_BYTES, Address, Fault, Refused, Reply, dump, problem
from objects.store import NodeStore

_logger = logging.getLogger("objects")

RETRY_SECONDS = 0.2


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


class Holding:
    """Called from several threads, but for one object by one at a time."""

    def __init__(self, store: NodeStore, handlers: Handlers, node: uuid.UUID, edge: Callable[[str], None]) -> None:
        self._store = store
        self._handlers = handlers
        self._node = node
        self._edge = edge
        self._held: dict[Address, Held] = {}
        self._lock = threading.Lock()

    def get(self, address: Address) -> Held | None:
        return self._held.get(address)

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

    def claim(self, address: Address, chosen: Chosen, *, create: bool) -> "Held | Reply | None":
        """The object as this node runs it from now on, the reason why it cannot, or None if there is no such object."""
        found = self._store.claim(address, self._node, create=create, code=chosen.version)
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
            status = self._store.unready(address, self._node, held.epoch, str(fault))
            self._store.fault(address, held.code, "initialise", str(fault))
            code = "failed" if status == "Failed" else "fault"
            return problem(code, f"{address} cannot be made ready: {fault}"[:1000])
        if held.state is None and handler.spec.initial is not None:
            held.state = dump(handler.spec.initial, "the initial state", MAX_STATE_BYTES)
        with self._lock:
            self._held[address] = held
        return held

    def move(self, held: Held, handler: Handler, chosen: Chosen) -> tuple[Handler, bool]:
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
        version = self._store.migrate(address, self._node, held.epoch, held.version, chosen.version, state)
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

    def retry(self, address: Address) -> bool:
        """Tries to make a Failed object ready; if that does not succeed, it is tried again after a longer while."""
        try:
            claimed = self.claim(address, self._handlers.choose(address), create=False)
        except NoSuchType as error:
            _logger.info("%s stays Failed: %s", address, error)
            return False
        return isinstance(claimed, Held) and self._store.recovered(address, self._node, claimed.epoch)
