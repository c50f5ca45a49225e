"""A node: the process that runs objects. It takes calls over TCP (`objects.wire`), one at a time for each object.

Its lease in `object_nodes` says that it lives. When it is asked to stop it drains: it takes no new objects, ends the
steps that run, and gives up what it holds, so that other nodes go on at once.
"""

import asyncio
import hmac
import json
import logging
import secrets
import threading
import time
import uuid
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from core.database import Database
from objects.catalogue import builtin
from objects.handlers import CustomHandlers, Handlers
from objects.model import Address, Call, Reply, Unavailable, problem
from objects.router import Node, Router
from objects.steps import Outside, Steps
from objects.store import NodeStore
from objects.wire import LINE_BYTES, SECRET_BYTES, read_call, write_reply

_logger = logging.getLogger("objects")
_T = TypeVar("_T")

THREADS = 8
CODE_THREADS = 12
SLOW_STEPS_OF_A_TEAM = 6
"""Steps of code of a team, or that wait for the outside world, at once."""
MOST_WAITING = 500
"""Calls that may wait for one object; further ones are answered `busy`."""
MOST_CALLS = 4000
"""Calls that a node holds at once."""
MOST_CONNECTIONS = 64
RETRIED_AT_ONCE = 10
MOST_HELD_BYTES = 256 << 20
"""Of states that a node keeps in memory between calls; a little more for two seconds at most."""
DRAIN_SECONDS = 20.0


@dataclass(frozen=True)
class NodeSettings:
    """Times in seconds. `advertised`: the host that other processes reach the node by; by default where it listens."""

    host: str = "127.0.0.1"
    port: int = 0
    advertised: str = ""
    lease: float = 5.0
    idle: float = 10.0
    hibernate: float = 60.0


@dataclass
class _Mailbox:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0


class ObjectNode:
    """Runs objects from `start` until `stop`."""

    def __init__(
        self,
        url: str,
        settings: NodeSettings = NodeSettings(),
        *,
        custom: CustomHandlers | None = None,
        outside: Callable[[NodeStore, Database], Outside] | None = None,
        edge: Callable[[str], None] = lambda name: None,
    ) -> None:
        self.id = uuid.uuid4()
        self.settings = settings
        self.secret = secrets.token_urlsafe(32)
        self.store = NodeStore(url)
        self.database = Database(url, max_size=4, timeout=5.0)
        self.custom = custom
        self.handlers = Handlers(self.database, custom)
        self._outside = outside(self.store, self.database) if outside is not None else None
        self.steps = Steps(self.store, self.handlers, self.id, self._outside, edge)
        self.address = ""
        self.router: Router
        self.draining = False
        self._edge = edge
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="step")
        # What may take seconds has threads of its own, so that it holds up no other object: code of teams, and trusted
        # types that wait for the outside world.
        self._code_threads = ThreadPoolExecutor(CODE_THREADS, thread_name_prefix="code")
        self._outside_threads = ThreadPoolExecutor(CODE_THREADS, thread_name_prefix="outside")
        self._slow_steps: dict[uuid.UUID, asyncio.Semaphore] = {}
        self._duty_threads = ThreadPoolExecutor(4, thread_name_prefix="duty")
        self._lease_thread = ThreadPoolExecutor(1, thread_name_prefix="lease")
        self._mailboxes: dict[Address, _Mailbox] = {}
        self._calls = 0
        self._connections: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listens, and begins its lease. Raises `OSError` and `Unavailable`."""
        settings = self.settings
        self._server = await asyncio.start_server(self._serve, settings.host, settings.port, limit=LINE_BYTES)
        port = self._server.sockets[0].getsockname()[1]
        self.address = f"{settings.advertised or settings.host}:{port}"
        self.router = Router(self._nodes, here=(self.address, self.take))
        try:
            await self.renew()
        except Unavailable:  # so that it can be started again, on the same port
            self._server.close()
            raise

    async def renew(self) -> None:
        """Begins or renews the lease, in a thread that nothing else can keep busy. Raises `Unavailable`."""
        await asyncio.get_running_loop().run_in_executor(
            self._lease_thread, self.store.renew, self.id, self.address, self.secret, self.settings.lease
        )

    async def _nodes(self) -> list[Node]:
        return [Node(*row) for row in await self.on_duty(self.store.nodes)]

    def on_duty(self, function: Callable[..., _T], *arguments: Any) -> Awaitable[_T]:
        """Runs what is no step in threads that steps do not use."""
        return asyncio.get_running_loop().run_in_executor(self._duty_threads, function, *arguments)

    async def stop(self) -> None:
        """Drains and ends."""
        self.draining = True
        with suppress(Unavailable):
            await self.on_duty(self.store.drain, self.id)
        until = time.monotonic() + DRAIN_SECONDS
        while self._calls and time.monotonic() < until:
            await asyncio.sleep(0.02)
        if self._server is not None:
            self._server.close()
        with suppress(Unavailable):
            await self.on_duty(self.store.leave, self.id)
        self.router.close()
        for writer in list(self._connections):
            writer.close()
        for threads in (
            *(self._threads, self._code_threads, self._outside_threads),
            *(self._duty_threads, self._lease_thread),
        ):
            threads.shutdown(wait=False, cancel_futures=True)
        for part in (self.custom, self._outside):
            if part is not None:
                part.close()
        self.store.close()
        self.database.close()

    async def take(self, call: Call) -> Reply:
        """Runs a call on this node, after those that came before for the same object."""
        if self.draining:
            return problem("retry", "the node is about to end", seconds=0.1)
        if self._calls >= MOST_CALLS:
            return problem("busy", f"the node has {MOST_CALLS} calls already")
        box = self._mailboxes.setdefault(call.address, _Mailbox())
        if box.waiting >= MOST_WAITING:
            return problem("busy", f"{MOST_WAITING} calls wait for {call.address} already")
        box.waiting += 1
        self._calls += 1
        # Shielded: a caller that goes away must not let the next step begin beside this one.
        return await asyncio.shield(asyncio.ensure_future(self._in_turn(box, call)))

    async def _in_turn(self, box: _Mailbox, call: Call) -> Reply:
        run = asyncio.get_running_loop().run_in_executor
        try:
            if builtin(call.address.type) is None and await run(self._threads, self.steps.stateless, call.address):
                return await self._run(call)
            async with box.lock:
                return await self._run(call)
        finally:
            self._calls -= 1
            box.waiting -= 1
            if not box.waiting:
                self._mailboxes.pop(call.address, None)

    async def _run(self, call: Call) -> Reply:
        """Runs a step in a thread of its kind. Of steps that may take seconds, a team has no more at once than leave
        threads for the others."""
        run = asyncio.get_running_loop().run_in_executor
        native = builtin(call.address.type)
        method = native.spec.methods.get(call.method) if native is not None else None
        if native is not None and not (method is not None and method.outside):
            return await run(self._threads, self.steps.run, call)
        slow = self._code_threads if native is None else self._outside_threads
        async with self._slow_steps.setdefault(call.address.team, asyncio.Semaphore(SLOW_STEPS_OF_A_TEAM)):
            return await run(slow, self.steps.run, call)

    async def retry_failed(self) -> int:
        """Tries Failed objects again whose time has come; returns how many recovered."""
        recovered = 0
        for address in await self.on_duty(self.store.failed, RETRIED_AT_ONCE):
            box = self._mailboxes.setdefault(address, _Mailbox())
            box.waiting += 1
            try:
                async with box.lock:
                    run = asyncio.get_running_loop().run_in_executor
                    recovered += await run(self._code_threads, self.steps.holding.retry, address)
            finally:
                box.waiting -= 1
                if not box.waiting:
                    self._mailboxes.pop(address, None)
        return recovered

    async def release_idle(self) -> int:
        """Lets objects hibernate that no call has reached for a while, or that need too much memory together; returns
        how many."""
        found = []
        for held in self.steps.holding.idle(self.settings.hibernate, MOST_HELD_BYTES):
            if held.address not in self._mailboxes and self.steps.holding.drop(held.address) is held:
                found.append((held.address, held.epoch))
        for first in range(0, len(found), 500):
            await self.on_duty(
                lambda some: self.store.release(self.id, some, hibernate=True), found[first : first + 500]
            )
        return len(found)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= MOST_CONNECTIONS:
            writer.close()
            return
        self._connections.add(writer)
        running: set[asyncio.Task[None]] = set()
        try:
            async with asyncio.timeout(5):
                first = await reader.readexactly(SECRET_BYTES + 1)
            if not hmac.compare_digest(first, self.secret.encode() + b"\n"):
                return
            while line := await reader.readline():
                task = asyncio.create_task(self._answer(line, writer))
                running.add(task)
                task.add_done_callback(running.discard)
        except (OSError, ValueError, TimeoutError, asyncio.IncompleteReadError):
            pass  # it spoke no protocol, or went away
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _answer(self, line: bytes, writer: asyncio.StreamWriter) -> None:
        value = json.loads(line)
        number = value.pop("number")
        try:
            reply = await self.take(read_call(value))
        except (KeyError, TypeError, ValueError) as error:
            reply = problem("protocol", f"the call is malformed: {type(error).__name__}")
        except RuntimeError as error:  # its threads have ended
            reply = problem("retry", str(error)[:200])
        except Exception as error:
            _logger.exception("a step failed by a bug")
            reply = problem("internal", f"internal error: {type(error).__name__}")
        with suppress(ConnectionError, RuntimeError):
            self._edge("replying")
            writer.write(json.dumps({"number": number, **write_reply(reply)}).encode() + b"\n")
            await writer.drain()


class ThreadedNode:
    """A node with its duties in a thread of this process, for tests and single commands."""

    def __init__(self, url: str, settings: NodeSettings = NodeSettings(), **more: Any) -> None:
        self._started = threading.Event()
        self._made: ObjectNode | None = None
        self._error: BaseException | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=(url, settings, more), name="object-node", daemon=True)
        self._thread.start()
        self._started.wait(30)
        if self._error is not None:
            raise self._error

    @property
    def node(self) -> ObjectNode:
        assert self._made is not None  # noqa: S101  set before `__init__` returns
        return self._made

    def call(self, call: Call) -> Reply:
        return asyncio.run_coroutine_threadsafe(self.node.router.call(call), self._loop).result(120)

    def do(self, work: Awaitable[_T]) -> _T:
        async def waiting() -> _T:
            return await work

        return asyncio.run_coroutine_threadsafe(waiting(), self._loop).result(120)

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(30)

    def _run(self, url: str, settings: NodeSettings, more: dict[str, Any]) -> None:
        asyncio.set_event_loop(self._loop)
        self._stop = asyncio.Event()
        try:
            self._loop.run_until_complete(self._live(url, settings, more))
        except BaseException as error:
            self._error = error
        finally:
            self._started.set()
            self._loop.close()

    async def _live(self, url: str, settings: NodeSettings, more: dict[str, Any]) -> None:
        from objects.duties import Duties

        node = ObjectNode(url, settings, **more)
        await node.start()
        self._made = node
        duties = Duties(node)
        duties.start()
        self._started.set()
        await self._stop.wait()
        await duties.stop()
