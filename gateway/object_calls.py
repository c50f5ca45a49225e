"""How the gateway reaches durable objects: one router to their nodes, and what it has read of types a moment ago."""

import json
import time
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import psycopg
from starlette.concurrency import run_in_threadpool

from core.database import Database
from core.settings import Settings
from gateway.problems import Refused
from objects.catalogue import find_spec
from objects.effects import checked_key
from objects.model import Call, Method, Reply, TypeSpec, Unavailable
from objects.router import Node, Router
from objects.store import LIVING_NODES

FRESH_SECONDS = 1.0
MOST_TYPES = 1000
SECONDS = 30.0
MOST_SECONDS = 120.0

STATUSES = {
    "refused": 409, "no-such-type": 404, "no-such-method": 404, "argument": 400, "moved": 421, "busy": 429,
    "terminated": 410, "failed": 503, "fault": 500, "internal": 500, "call-id": 422, "unavailable": 503, "retry": 503,
    "deadline": 504, "gone": 409, "protocol": 400,
}  # fmt: skip


class ObjectCalls:
    """Made with the gateway; it connects when the first object is called."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._database = database
        self._wanted = settings.objects_wanted
        self._specs: OrderedDict[tuple[uuid.UUID, str], tuple[float, TypeSpec | None]] = OrderedDict()
        self._router: Router | None = None

    async def call(self, call: Call) -> Reply:
        if self._router is None:
            self._router = Router(self._nodes, wake=self.wake)
        return await self._router.call(call)

    def wake(self) -> None:
        """Says that a node is wanted: the supervisor looks for this file every other second."""
        with suppress(OSError):
            self._wanted.touch(mode=0o600)

    async def _nodes(self) -> list[Node]:
        def read() -> list[Node]:
            try:
                with self._database.system() as connection:
                    return [Node(*row) for row in connection.execute(LIVING_NODES.encode()).fetchall()]
            except psycopg.OperationalError as error:
                raise Unavailable("the database does not answer") from error

        return await run_in_threadpool(read)

    async def spec(self, team: uuid.UUID, kind: str) -> TypeSpec:
        """The methods of a type. Raises `Refused` (404)."""
        held, now = self._specs.get((team, kind)), time.monotonic()
        if held is None or now - held[0] > FRESH_SECONDS:

            def read() -> TypeSpec | None:
                with self._database.team(team) as connection:
                    return find_spec(connection, kind)

            held = (now, await run_in_threadpool(read))
            self._specs[team, kind] = held
            while len(self._specs) > MOST_TYPES:
                self._specs.popitem(last=False)
        if held[1] is None:
            raise Refused(404, "no-such-type", f"there is no type {kind[:63]!r} with an accepted version")
        return held[1]

    def close(self) -> None:
        if self._router is not None:
            self._router.close()


def method_of(spec: TypeSpec, name: str) -> Method:
    """Raises `Refused` (404)."""
    found = spec.methods.get(name)
    if found is None or found.internal:
        known = ", ".join(sorted(name for name, one in spec.methods.items() if not one.internal))
        raise Refused(404, "no-such-method", f"the type {spec.name} has no method {name[:63]!r}; it has {known}"[:900])
    return found


def key_in(text: str) -> str:
    """A key that an object can have. Raises `Refused` (404): what is left over after the schema of the address, which
    cannot count bytes, is the key of no object."""
    try:
        return checked_key(text)
    except ValueError as error:
        raise Refused(404, "no-such-key", f"no object has this key: {error}", field="key") from None


def refused(reply: Reply) -> Refused:
    """The refusal that a reply without an answer becomes. `code` is the object's own where the object has refused."""
    try:
        said = json.loads(reply.body)
    except ValueError:
        said = {}
    status = STATUSES.get(reply.code, 500)
    headers = {"Retry-After": f"{max(1.0, reply.seconds):.0f}"} if status in (429, 503) else {}
    if reply.owner:
        headers["Penstock-Object-Node"] = reply.owner
    return Refused(status, str(said.get("code", reply.code)), str(said.get("error", reply.code)), headers=headers)


def of_query(parameters: Mapping[str, str], method: Method) -> dict[str, Any]:
    """An argument from the parameters of an address: numbers and flags where the method's schema says so."""
    parts = method.argument.get("properties", {})
    found: dict[str, Any] = {}
    for name, text in parameters.items():
        kind = parts.get(name, {}).get("type", "string")
        if kind in ("integer", "number", "boolean", "array", "object", "null") or isinstance(kind, list):
            try:
                found[name] = json.loads(text)
                continue
            except (ValueError, RecursionError):
                pass
        found[name] = text
    return found
