"""Nodes over a real database, in threads of the test's process."""

import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from core.database import Database
from core.events import DEFAULT_TEAM
from objects.catalogue import CodeRow, read_code
from objects.custom.opened import TeamCode
from objects.model import Address, Call, Reply
from objects.node import NodeSettings, ThreadedNode
from objects.submissions import Submission, submit
from tests.objects.code_cases import ACCOUNT, MANIFEST


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


@pytest.fixture(scope="session")
def team_code(sandbox: Any) -> Iterator[TeamCode]:
    made = TeamCode(sandbox.name)
    made.close_for_good, made.close = made.close, lambda: None  # type: ignore[attr-defined,method-assign]
    yield made
    made.close_for_good()  # type: ignore[attr-defined]


@pytest.fixture
def code_node(make_node: Callable[..., ThreadedNode], team_code: TeamCode) -> ThreadedNode:
    return make_node(custom=team_code)


@pytest.fixture
def let_out(database: Database) -> Callable[..., CodeRow]:
    """Submits code and waits for the verdict."""

    def make(source: str = ACCOUNT, *, name: str = "account", percent: int = 20, **changed: Any) -> CodeRow:
        manifest = changed.pop("manifest", MANIFEST)
        with database.team(DEFAULT_TEAM) as connection:
            row = submit(
                connection,
                DEFAULT_TEAM,
                Submission(name, source, manifest, changed.pop("scenarios", []), "test", percent),
            )
        deadline = time.monotonic() + 90
        while True:
            with database.team(DEFAULT_TEAM) as connection:
                found = read_code(connection, name, row.version)
            assert found is not None
            if found.state != "submitted":
                return found
            assert time.monotonic() < deadline, "it was not checked"
            time.sleep(0.1)

    return make


@pytest.fixture
def let_in(database: Database) -> Callable[..., int]:
    """Makes code the active version of a type as if the gate had passed it; returns the version."""

    def make(
        source: str,
        *,
        name: str = "account",
        manifest: dict[str, Any] = MANIFEST,
        team: uuid.UUID = DEFAULT_TEAM,
        canary: int = 0,
    ) -> int:
        with database.team(team) as connection:
            row = submit(connection, team, Submission(name, source, manifest, [], "test"))
            connection.execute("UPDATE object_code SET state = 'accepted', verdict = %s", (Jsonb({"passed": True}),))
            column = "canary_version" if canary else "active_version"
            connection.execute(
                f"UPDATE object_types SET previous_version = CASE WHEN %s > 0 THEN NULL ELSE active_version END, "  # noqa: S608
                f"{column} = %s, canary_percent = %s, changed_at = clock_timestamp() WHERE type = %s",
                (canary, row.version, canary, name),
            )
        return row.version

    return make
