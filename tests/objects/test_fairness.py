"""What one team, one object, one node or one caller does holds up no other."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from core.access.teams import add_team
from core.database import Database
from core.events import DEFAULT_TEAM
from objects import node as node_module
from objects.model import Address, Call, Message, Method, Reply, Step, TypeSpec
from objects.node import ThreadedNode
from objects.types import NATIVE
from objects.types.native import Native
from objects.wire import SECRET_BYTES, Link, LinkLost

CallIt = Callable[..., Reply]


class Waiter(Native):
    """Waits for the outside world, if it is asked to."""

    spec = TypeSpec(name="waiter", version=1, methods={"do": Method(outside=True)})

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.entered = threading.Semaphore(0)

    def on_do(self, state: Any, message: Message) -> Step:
        self.entered.release()
        if message.argument:
            self.go_on.wait(30)
        return Step(None)


@pytest.fixture
def waiter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Waiter]:
    made = Waiter()
    monkeypatch.setitem(NATIVE, "waiter", made)
    yield made
    made.go_on.set()


def test_waiting_for_the_world_holds_up_neither_plain_objects_nor_other_teams(
    node: ThreadedNode, call: CallIt, database: Database, waiter: Waiter
) -> None:
    with database.system() as connection:
        other = add_team(connection, "other").id
    with ThreadPoolExecutor(20) as threads:
        slow = [threads.submit(call, node, f"waiter/{n}", "do", "1", seconds=40) for n in range(20)]
        try:
            assert waiter.entered.acquire(timeout=10)
            assert call(node, "register/a", "add", '{"amount": 1}', seconds=10).ok
            assert call(node, "waiter/a", "do", "0", team=other, seconds=10).ok
        finally:
            waiter.go_on.set()
        assert all(one.result(40).ok for one in slow)


def test_the_next_step_waits_for_one_whose_caller_has_gone(node: ThreadedNode, call: CallIt, waiter: Waiter) -> None:
    async def cancelled() -> None:
        left = asyncio.ensure_future(
            node.node.take(Call(Address(DEFAULT_TEAM, "waiter", "a"), "do", "1", "first", "test", 2e9))
        )
        await asyncio.to_thread(waiter.entered.acquire, timeout=10)
        left.cancel()

    node.do(cancelled())
    with ThreadPoolExecutor(1) as threads:
        following = threads.submit(call, node, "waiter/a", "do", "0")
        assert not waiter.entered.acquire(timeout=0.5)
        waiter.go_on.set()
        assert following.result(20).ok


def test_states_that_need_too_much_memory_together_are_let_go(
    node: ThreadedNode, call: CallIt, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in "abc":
        call(node, f"register/{key}", "write", json.dumps({"value": "x" * 1000}))
    monkeypatch.setattr(node_module, "MOST_HELD_BYTES", 2500)
    node.do(node.node.release_idle())
    assert len(node.node.steps.holding) == 2
    with database.system() as connection:
        rows = connection.execute("SELECT key FROM objects WHERE status = 'Hibernating'").fetchall()
    assert rows == [("a",)]


@pytest.mark.parametrize("said", [b"[1]\n", b'{"number": 1}\n', b"no\n", b""])
def test_a_node_that_speaks_no_protocol_is_lost_at_once(said: bytes) -> None:
    with pytest.raises(LinkLost):
        _answered(said)


def test_what_a_newer_node_says_beside_its_reply_is_left_out() -> None:
    reply = _answered(b'{"number": 1, "code": "ok", "body": "1", "weather": "fine"}\n')
    assert (reply.code, reply.body) == ("ok", "1")


def _answered(said: bytes) -> Reply:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        await reader.readline()
        writer.write(said)
        writer.close()

    async def ask() -> Reply:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            link = await Link.open(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", "s" * SECRET_BYTES)
            async with asyncio.timeout(10):
                return await link.call(Call(Address(DEFAULT_TEAM, "register", "a"), "read", "{}", "1", "test", 2e9))

    return asyncio.run(ask())
