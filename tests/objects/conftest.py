"""Nodes over a real database, in threads of the test's process."""

import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from core.events import DEFAULT_TEAM
from objects.model import Address, Call, Reply
from objects.node import NodeSettings, ThreadedNode


@pytest.fixture
def make_node(database_url: str) -> Iterator[Callable[..., ThreadedNode]]:
    """Starts nodes; settings can be changed by keyword."""
    made: list[ThreadedNode] = []

    def make(lease: float = 5.0, hibernate: float = 60.0, **more: Any) -> ThreadedNode:
        made.append(ThreadedNode(database_url, NodeSettings(lease=lease, hibernate=hibernate), **more))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def node(make_node: Callable[..., ThreadedNode]) -> ThreadedNode:
    return make_node()


@pytest.fixture
def call() -> Callable[..., Reply]:
    """Calls an object of a node: `call(node, "register/a", "add", '{"amount": 1}')`."""

    def make(
        node: ThreadedNode,
        where: str,
        method: str,
        argument: str = "{}",
        *,
        id: str | None = None,
        team: uuid.UUID = DEFAULT_TEAM,
        seconds: float = 20.0,
        **more: Any,
    ) -> Reply:
        kind, _, key = where.partition("/")
        address = Address(team, kind, key)
        return node.call(
            Call(address, method, argument, id or str(uuid.uuid4()), "test", time.time() + seconds, **more)
        )

    return make
